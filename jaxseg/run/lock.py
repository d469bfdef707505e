"""Lets one training at a time write to a workdir.

The file ``WORKDIR/lock.json`` names the process that trains. On its own host a ``flock`` tells whether it is alive: the
kernel releases it when the process ends, for any reason. On other hosts a beat does: the process touches the file
every few seconds, and one that wants the workdir watches for a while whether that happens. Clocks are not compared.
"""

import contextlib
import datetime
import errno
import fcntl
import json
import os
import pathlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from jaxseg.ctrl_c import unfinished
from jaxseg.run.bucket_lock import locked_bucket
from jaxseg.storage import is_bucket

NAME = "lock.json"
BEAT = 5.0  # seconds between two touches of the file
WATCH = 30.0  # seconds without a touch after which a process on another host counts as dead


@contextlib.contextmanager
def locked(workdir: pathlib.Path) -> Iterator[Callable[[], None]]:
    """Holds the lock of a workdir, which is made if needed.

    Yields:
      A function that raises ValueError if another process has taken the workdir over, which can happen in a bucket.

    Raises:
      ValueError: another process trains in this workdir, or it cannot be written.
    """
    with _locked_bucket(workdir) if is_bucket(workdir) else _locked_disk(workdir) as check:
        yield check


@contextlib.contextmanager
def _locked_bucket(workdir: pathlib.Path) -> Iterator[Callable[[], None]]:
    with contextlib.ExitStack() as stack:
        try:
            check = stack.enter_context(locked_bucket(workdir))
        except OSError as error:
            raise cannot_write(workdir, error) from error
        yield check


@contextlib.contextmanager
def _locked_disk(workdir: pathlib.Path) -> Iterator[Callable[[], None]]:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        descriptor = _open(workdir / NAME)
    except OSError as error:
        raise cannot_write(workdir, error) from error
    ended = threading.Event()
    beating = threading.Thread(target=_beat, args=(descriptor, ended), daemon=True)
    beating.start()
    try:
        with unfinished(workdir / NAME):
            yield lambda: None
    finally:
        ended.set()
        beating.join()
        os.close(descriptor)


def cannot_write(workdir: pathlib.Path, error: OSError) -> Exception:
    """Returns the error for a workdir that cannot be written, with the remedy for its cause."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OSError(f"workdir {workdir} cannot be written ({error}). Make room there.")
    if is_bucket(workdir):
        remedy = "Check the URL, and give the credentials the rights to list, read, write and delete objects there."
        return ValueError(f"workdir {workdir} cannot be written ({error}). {remedy}")
    return ValueError(f"workdir {workdir} cannot be written ({error}). Choose another --workdir.")


def _open(path: pathlib.Path) -> int:
    """Returns a descriptor of the lock file, once it is this process's."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            free = _flock(descriptor)
            if _is_at(descriptor, path):
                holder = _read(path)
                if not free or (holder and _is_alive(holder, path)):
                    raise ValueError(_refusal(path.parent, holder))
                _write(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the process before removed the file after it was opened here


def _flock(descriptor: int) -> bool:
    """Takes the kernel's lock; returns False if another process of this host has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: the file's content decides
        pass
    return True


def _is_at(descriptor: int, path: pathlib.Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _is_alive(holder: dict[str, Any], path: pathlib.Path) -> bool:
    """Returns whether the process that a lock file names still runs, where no flock of this host tells."""
    if holder.get("host") == socket.gethostname():
        return holder.get("pid") != os.getpid() and _runs(holder.get("pid", 0)) and not _has_flock(path)
    return _beats(path)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0


def _has_flock(path: pathlib.Path) -> bool:
    """Returns whether the file system has locks, so that the free one of a process proves that it is dead."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        return not _flock(descriptor)  # this process has it already
    finally:
        os.close(descriptor)


def _beats(path: pathlib.Path) -> bool:
    """Watches whether a process on another host touches the file."""
    print(f"jaxseg: {path} names a process on another host; watching for {WATCH:.0f} s whether it is alive", flush=True)
    first, until = _touched(path), time.monotonic() + WATCH
    while time.monotonic() < until:
        time.sleep(min(BEAT, WATCH) / 5)
        if _touched(path) != first:
            return True
    return False


def _touched(path: pathlib.Path) -> int:
    with path.open() as file:  # opening it makes a network file system ask its server
        return os.fstat(file.fileno()).st_mtime_ns


def _beat(descriptor: int, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        with contextlib.suppress(OSError):
            os.utime(descriptor)


def _read(path: pathlib.Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):  # empty: its process has only just begun, or its disk was full
        return {}


def _write(descriptor: int) -> None:
    since = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": since}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, (json.dumps(holder) + "\n").encode(), 0)


def _refusal(workdir: pathlib.Path, holder: dict[str, Any]) -> str:
    who = f"process {holder['pid']} on {holder['host']} since {holder['since']}" if holder else "another process"
    return (
        f"workdir {workdir} is in use: {who} trains in it. Wait for it, stop it, or choose another --workdir. "
        f"If it does not run any more, remove {workdir / NAME}."
    )

"""Lets one training at a time write to a workdir in a bucket.

A bucket creates an object for the first who asks, and for nobody else, so ``lock.json`` has one owner. The owner writes
it again every few seconds with a higher number. A process that finds the file of another host watches that number for
a while; a process on this host is looked up. A file that no living process owns is replaced. Replacing is not
exclusive, so the process that does it waits and checks that the file is still its own. An owner that was suspended and
has lost its file notices it before it saves.
"""

import contextlib
import datetime
import json
import os
import pathlib
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from jaxseg.storage import file_system, retried, write_text

NAME = "lock.json"
BEAT = 20.0  # seconds between two writes of the owner
WATCH = 90.0  # seconds without a write after which an owner on another host counts as dead
SETTLE = 3.0  # seconds after which a process that replaced the file checks that it is still its own


@contextlib.contextmanager
def locked_bucket(workdir: pathlib.Path) -> Iterator[Callable[[], None]]:
    """Holds the lock of a workdir in a bucket.

    Yields:
      A function that raises ValueError if another process has taken the workdir over.

    Raises:
      ValueError: another process trains in this workdir.
      OSError: the bucket cannot be read or written.
    """
    path = workdir / NAME
    own = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "process_start": process_start(os.getpid()),
        "since": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "token": uuid.uuid4().hex,
        "beat": 0,
    }
    _acquire(path, own)
    ended, lost = threading.Event(), threading.Event()
    beating = threading.Thread(target=_beat, args=(path, own, ended, lost), daemon=True)
    beating.start()

    def check() -> None:
        if lost.is_set():
            raise ValueError(f"workdir {workdir} was taken over by another process. Stop that one, or this one.")

    try:
        yield check
    finally:
        ended.set()
        beating.join()
        with contextlib.suppress(OSError):
            if _is_own(path, own):
                path.unlink()


def _acquire(path: pathlib.Path, own: dict[str, Any]) -> None:
    """Makes the lock file this process's own."""
    content, holder = json.dumps(own).encode(), _read(path)
    if not holder:
        try:
            retried(lambda: file_system(path).pipe_file(str(path), content, mode="create"))
            return
        except FileExistsError:
            holder = _read(path)
    if holder.get("token") == own["token"]:  # an attempt that seemed to be refused had succeeded
        return
    if holder and _is_alive(holder, path):
        raise ValueError(_refusal(path.parent, holder))
    write_text(path, json.dumps(own))
    time.sleep(SETTLE)
    if not _is_own(path, own):
        raise ValueError(_refusal(path.parent, _read(path)))


def _is_alive(holder: dict[str, Any], path: pathlib.Path) -> bool:
    """Returns whether the process that a lock file names still runs."""
    if holder.get("host") == socket.gethostname():
        started = process_start(holder.get("pid", 0))
        return started is not None and started == holder.get("process_start")
    print(f"jaxseg: {path} names a process on another host; watching for {WATCH:.0f} s whether it is alive", flush=True)
    until = time.monotonic() + WATCH
    while time.monotonic() < until:
        time.sleep(min(BEAT, WATCH) / 5)
        if _read(path) != holder:
            return True
    return False


def process_start(pid: int) -> str | None:
    """Returns a text that tells a process from a later one with the same number; None if there is no such process."""
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    if os.path.isdir("/proc/self"):
        return None
    with contextlib.suppress(OSError):  # not on Linux: only the number is compared
        os.kill(pid, 0)
        return ""
    return None


def _beat(path: pathlib.Path, own: dict[str, Any], ended: threading.Event, lost: threading.Event) -> None:
    while not ended.wait(BEAT):
        with contextlib.suppress(Exception):  # the next write follows soon
            if not _is_own(path, own):
                lost.set()
                return
            own["beat"] += 1
            path.write_bytes(json.dumps(own).encode())


def _is_own(path: pathlib.Path, own: dict[str, Any]) -> bool:
    return _read(path).get("token") == own["token"]


def _read(path: pathlib.Path) -> dict[str, Any]:
    """Returns the content of a lock file; {} where there is none."""
    try:
        return dict(json.loads(retried(path.read_text)))
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def _refusal(workdir: pathlib.Path, holder: dict[str, Any]) -> str:
    who = f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
    return (
        f"workdir {workdir} is in use: {who} trains in it. Wait for it, stop it, or choose another --workdir. "
        f"If it does not run any more, remove {workdir / NAME}."
    )

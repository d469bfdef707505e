"""Ends the process of a command on Ctrl-C: at once, in one line and with status 130.

An exception would not do. Callbacks of XLA and imports of libraries may swallow it, and Python crashes when it ends
while threads still compile. So no code is unwound: what must not stay behind is listed here, and removed.

This is the first module that a command imports, so it imports little.
"""

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator
    from types import FrameType

_unfinished: "list[pathlib.Path]" = []


def end_on_ctrl_c() -> None:
    """Makes Ctrl-C end this process at once. Commands that have something to finish note the first one instead."""
    signal.signal(signal.SIGINT, _end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # a process that has restarted has blocked it


@contextlib.contextmanager
def unfinished(path: "pathlib.Path") -> "Iterator[None]":
    """Removes a file or folder if it is still there at the end of this context, or when Ctrl-C ends the process."""
    _unfinished.append(path)
    try:
        yield
    finally:
        _remove(path)
        _unfinished.remove(path)


def _end(number: int, frame: "FrameType | None") -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for step in (_kill_workers, _remove_unfinished, _flush, _say):
            with contextlib.suppress(Exception):  # such as a stream that the interrupted code was just writing to
                step()
    finally:
        os._exit(128 + number)


def _kill_workers() -> None:
    if "multiprocessing" in sys.modules:
        for worker in sys.modules["multiprocessing"].active_children():
            worker.kill()


def _remove_unfinished() -> None:
    for path in _unfinished:
        _remove(path)


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _say() -> None:
    os.write(2, b"jaxseg: stopped by Ctrl-C\n")


def _remove(path: "pathlib.Path") -> None:
    if path.is_dir():
        import shutil  # who makes a temporary folder has imported it

        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()

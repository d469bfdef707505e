"""Ends the process of a command on Ctrl-C: at once, in one line and with status 130.

An exception would not do. Callbacks of XLA and imports of libraries may swallow it, and Python crashes when it ends
while threads still compile. So no code is unwound: what must not stay behind is listed here, and removed.

Python handles signals between two instructions of its main thread, which waits for minutes while XLA compiles. A
thread therefore watches for signals that are not handled.

This is the first module that a command imports, so it imports little.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator
    from types import FrameType

WAIT = 0.3  # seconds that the main thread has to handle a signal before the watching thread does
NOTED = b"jaxseg: Ctrl-C is noted and acts after the computation in progress; a second one stops at once\n"

_unfinished: "list[pathlib.Path]" = []
_ending = threading.Lock()
_handled = 0  # times that a Ctrl-C was noted by the main thread
_noting: "list[Callable]" = []  # handlers that note the first Ctrl-C


def end_on_ctrl_c() -> None:
    """Makes Ctrl-C end this process at once. Commands that have something to finish note the first one instead."""
    if signal.getsignal(signal.SIGINT) is _end:
        return
    signal.signal(signal.SIGINT, _end)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # for the thread, which inherits it
    received, sent = os.pipe()
    os.set_blocking(sent, False)
    signal.set_wakeup_fd(sent, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(received,), name="ctrl-c", daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # a process that has restarted has blocked it


@contextlib.contextmanager
def first_noted(note: "Callable[[signal.Signals], None]") -> "Iterator[None]":
    """Notes SIGTERM and the first Ctrl-C within this context, which then go on; a second Ctrl-C acts as it did before.

    Args:
      note: is called with each signal that is noted.
    """

    def handle(number: int, frame: "FrameType | None") -> None:
        global _handled
        _handled += number == signal.SIGINT
        note(signal.Signals(number))
        signal.signal(signal.SIGINT, before[signal.SIGINT])

    _noting.append(handle)
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        _noting.remove(handle)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def unfinished(path: "pathlib.Path") -> "Iterator[None]":
    """Removes a file or folder if it is still there at the end of this context, or when Ctrl-C ends the process."""
    _unfinished.append(path)
    try:
        yield
    finally:
        _remove(path)
        _unfinished.remove(path)


def _watch(received: int) -> None:
    """Ends the process, or says that Ctrl-C is noted, where the main thread handles no signal.

    Args:
      received: the pipe that gets a byte per signal.
    """
    handled, said = _handled, None
    while True:
        if signal.SIGINT not in os.read(received, 1):
            continue
        time.sleep(WAIT)
        handler = signal.getsignal(signal.SIGINT)
        if _handled > handled:
            handled = _handled
            while select.select([received], [], [], 0)[0]:  # signals that were handled together
                os.read(received, 1)
        elif handler is _end or handler is said:
            _end()
        elif handler in _noting:
            said = handler
            handled += 1  # the main thread will
            os.write(2, NOTED)


def _end(number: int = signal.SIGINT, frame: "FrameType | None" = None) -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    _ending.acquire()  # the second of two threads waits here for the end of the process
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

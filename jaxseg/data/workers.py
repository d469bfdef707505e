"""How worker processes start."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing import connection, resource_tracker, spawn
from typing import Any

import cv2

_starting: list[object] = []  # one per thread that is starting workers; others may start them for it


@contextlib.contextmanager
def starting_workers() -> Iterator[None]:
    """Prepares this thread to start worker processes.

    - Workers are spared by Ctrl-C, also before they ``begin_work``: they inherit the thread's mask of signals.
    - Workers do not import the script that was started. They need nothing of it, and it would run once more where it
      has no ``if __name__ == "__main__"``.
    """
    resource_tracker.ensure_running()  # If it started later, it would unblock the signal.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    own = object()
    _starting.append(own)
    try:
        yield
    finally:
        _starting.remove(own)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _preparation_data(name: str, given: Callable[[str], dict[str, Any]] = spawn.get_preparation_data) -> dict[str, Any]:
    """Returns what a new process gets, without the main module while a thread is ``starting_workers``."""
    data = given(name)
    return {key: value for key, value in data.items() if not (_starting and key.startswith("init_main"))}


spawn.get_preparation_data = _preparation_data  # multiprocessing has no option for it


def begin_work() -> None:
    """Prepares a worker process: it leaves signals to its parent, and ends soon after its parent has ended."""
    cv2.setNumThreads(1)  # the workers already share the cores
    # Signals to the group of processes, such as Ctrl-C, are for the parent. It ends its workers after it has saved.
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """Ends this worker when its parent ends. A parent that is killed cannot do that."""
    connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)

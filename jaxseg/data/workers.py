"""How worker processes start."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import connection, resource_tracker

import cv2


@contextlib.contextmanager
def starting_workers() -> Iterator[None]:
    """Keeps Ctrl-C from processes that this thread starts, also before they ``begin_work``: they inherit its mask."""
    resource_tracker.ensure_running()  # If it started later, it would unblock the signal.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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

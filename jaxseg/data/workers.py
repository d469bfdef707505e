"""The first steps of every worker process."""

import multiprocessing
import os
import signal
import threading
from multiprocessing import connection

import cv2


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

"""The first steps of every worker process."""

import multiprocessing
import os
import signal
import threading
from multiprocessing import connection

import cv2


def begin_work() -> None:
    """Makes this process a good worker: it leaves signals to its parent, and outlives it by no more than a moment."""
    cv2.setNumThreads(1)  # the workers share the cores among them already
    # Ctrl-C, and whatever else is meant for the group of its parent, is for the parent, which ends its workers in good
    # order when it has saved.
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """Ends this worker when its parent ends. A parent that is killed cannot do that."""
    connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)

"""Whether processes that a test does not own come to their end."""

import os
import signal
import time
from pathlib import Path

import pytest


def assert_ends(process):
    """That a process, by number, ends within ten seconds; it does so in any case."""
    for _ in range(100):
        if not is_running(process):
            return
        time.sleep(0.1)
    os.kill(process, signal.SIGKILL)
    pytest.fail("the worker outlived its parent by ten seconds")


def is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # An orphan that has ended may wait for init to notice.
    stat = Path(f"/proc/{process}/stat")
    return not (stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z")

"""Ctrl-C ends a command in one line, also while it imports its libraries."""

import os
import signal
import subprocess
import sys

import pytest

from jaxseg.commands import process

SWALLOWS = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)
except BaseException:
    print("swallowed")
"""


def test_a_library_cannot_swallow_ctrl_c_while_it_is_imported(tmp_path, root):
    (tmp_path / "swallows.py").write_text(SWALLOWS)
    program = "from jaxseg.commands import process\nwith process.exits_on_ctrl_c_while_importing(): import swallows"
    environment = {**os.environ, "PYTHONPATH": f"{root}:{tmp_path}"}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "jaxseg: stopped by Ctrl-C\n")


def test_ctrl_c_raises_at_other_times_and_the_handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), process.exits_on_ctrl_c_while_importing():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before

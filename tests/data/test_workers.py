"""Workers leave signals to their parent, and end with it."""

import os
import signal
import subprocess
import sys
import time

import pytest
from process_ends import assert_ends, is_running

PARENT = """
import multiprocessing, os, signal, sys, time
from jaxseg.data.workers import begin_work

def work():
    begin_work()
    print(os.getpid(), flush=True)
    time.sleep(60)

if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # as a run that is about to save
    multiprocessing.get_context("spawn").Process(target=work).start()
    sys.stdin.readline()
"""


@pytest.fixture
def parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, script], env=environment, start_new_session=True, **pipes) as process:
        yield process
        process.kill()


def test_a_worker_ends_with_its_parent_and_not_by_signals_to_its_parents_group(parent):
    worker = int(parent.stdout.readline())
    for number in (signal.SIGINT, signal.SIGTERM):
        os.killpg(parent.pid, number)
    time.sleep(0.3)
    assert is_running(worker)
    parent.kill()
    assert_ends(worker)

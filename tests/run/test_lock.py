"""One training at a time in a workdir, whoever died there before."""

import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from jaxseg.run import lock

HOLD = """
import pathlib, sys, time
from jaxseg.run.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path, root):
    """Another process that holds the lock of tmp_path."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], cwd=root, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_training_is_refused_until_the_first_has_died(tmp_path, holder):
    expected = f"is in use: process {holder.pid} on {socket.gethostname()} since 20.*--workdir"
    with pytest.raises(ValueError, match=expected) as refused, lock.locked(tmp_path):
        pass
    assert "\n" not in str(refused.value)
    holder.kill()
    holder.wait()
    assert (tmp_path / lock.NAME).exists()
    with lock.locked(tmp_path):
        assert json.loads((tmp_path / lock.NAME).read_text())["pid"] == os.getpid()
    assert not (tmp_path / lock.NAME).exists()


def test_without_locks_of_the_file_system_the_process_id_decides(tmp_path, holder, monkeypatch):
    def unsupported(*_):
        raise OSError("no locks here")

    monkeypatch.setattr(lock.fcntl, "flock", unsupported)
    with pytest.raises(ValueError, match=f"process {holder.pid} on"), lock.locked(tmp_path):
        pass
    holder.kill()
    holder.wait()
    with lock.locked(tmp_path):
        pass


def test_another_host_is_watched(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "WATCH", 0.2)
    path = tmp_path / lock.NAME
    path.write_text(json.dumps({"host": "elsewhere", "pid": 7, "since": "2026-01-01T00:00:00+00:00"}))
    ended = threading.Event()

    def touch():
        while not ended.wait(0.01):
            os.utime(path)

    beating = threading.Thread(target=touch)
    beating.start()
    with pytest.raises(ValueError, match="process 7 on elsewhere since 2026-01-01"), lock.locked(tmp_path):
        pass
    ended.set()
    beating.join()
    with lock.locked(tmp_path):
        pass


def test_the_holder_touches_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.01)
    with lock.locked(tmp_path):
        first = (tmp_path / lock.NAME).stat().st_mtime_ns
        for _ in range(500):
            time.sleep(0.01)
            if (tmp_path / lock.NAME).stat().st_mtime_ns != first:
                return
    pytest.fail("no beat in five seconds")


@pytest.mark.parametrize("content", ["", "{", "[]", "7"])
def test_a_damaged_file_of_a_dead_process_does_not_block(tmp_path, content):
    (tmp_path / lock.NAME).write_text(content)
    with lock.locked(tmp_path):
        pass

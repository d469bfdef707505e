"""Batches from threads and from processes; what happens when they fail."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import grain
import numpy as np
import pytest
from process_ends import assert_ends

from jaxseg.data.stream import BatchStream
from jaxseg.types import Batch


def stream(make, *, workers, **others):
    return BatchStream(grain.MapDataset.range(1000).map(make), workers=workers, **others)


def batch_of(number):
    return Batch(np.array([number]), np.array([0]), np.array([True]))


def surroundings(step):
    """What a worker sees: its number, JAX's platforms, whether a backend of JAX exists, whether TensorFlow does."""
    backends = sys.modules["jax._src.xla_bridge"]._backends if "jax._src.xla_bridge" in sys.modules else {}
    facts = [os.getpid(), os.environ.get("JAX_PLATFORMS") == "cpu", len(backends), "tensorflow" in sys.modules]
    return batch_of(step)._replace(label=np.array(facts))


def fails_at_three(step):
    if step == 3:
        raise ValueError("cat.png has the value 9; expected 1, 2, 3")
    return batch_of(step)


def dies_at_three(step):
    if step == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return batch_of(step)


def sleeps(step):
    time.sleep(4)
    return batch_of(step)


def test_workers_touch_no_device(monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    with stream(surroundings, workers=2) as batches:
        seen = [next(batches) for _ in range(6)]
    assert [int(batch.image[0]) for batch in seen] == list(range(6))
    facts = np.stack([batch.label for batch in seen])
    assert len(set(facts[:, 0])) == 2
    assert os.getpid() not in facts[:, 0]
    np.testing.assert_array_equal(facts[:, 1:], [[1, 0, 0]] * 6)
    assert "JAX_PLATFORMS" not in os.environ  # the parent's own choice is as before


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_arrive_as_they_were_raised(workers):
    with stream(fails_at_three, workers=workers) as batches:
        for _ in range(3):
            next(batches)
        with pytest.raises(ValueError, match="value 9") as raised:
            next(batches)
        assert str(raised.value) == "cat.png has the value 9; expected 1, 2, 3"


def test_ctrl_c_spares_workers_that_are_starting():
    others = multiprocessing.active_children()
    with stream(batch_of, workers=1) as batches:
        while not (started := [child for child in multiprocessing.active_children() if child not in others]):
            time.sleep(0.001)
        os.kill(started[0].pid, signal.SIGINT)
        assert int(next(batches).image[0]) == 0


SCRIPT = """
print("starts", flush=True)
from test_stream import batch_of, stream

with stream(batch_of, workers=2) as batches:
    print([int(next(batches).image[0]) for _ in range(3)])
"""


def test_workers_do_not_run_the_script_of_their_parent(tmp_path):
    """As multiprocessing does, for which scripts need ``if __name__ == "__main__"``."""
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, tmp_path / "script.py"], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("starts\n[0, 1, 2]\n", 0), done.stderr


def test_a_dead_worker_is_reported():
    with stream(dies_at_three, workers=1) as batches, pytest.raises(RuntimeError, match="terminated unexpectedly"):
        list(batches)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_stuck_worker_is_reported(workers):
    with (
        stream(sleeps, workers=workers, timeout=0.5) as batches,
        pytest.raises(RuntimeError, match=r"no batch came within 0.5 s.*config\.data\.workers=0"),
    ):
        next(batches)


def test_a_closed_stream_is_at_its_end():
    batches = stream(batch_of, workers=0)
    next(batches)
    batches.close()
    batches.close()
    assert list(batches) == []


def test_fewer_than_no_workers():
    with pytest.raises(ValueError, match=r"config\.data\.workers is -1"):
        stream(batch_of, workers=-1)


PARENT = """
import multiprocessing, os, signal
import grain, numpy as np
from jaxseg.data.stream import BatchStream
from jaxseg.types import Batch

if __name__ == "__main__":
    a = np.zeros(3)
    batches = BatchStream(grain.MapDataset.range(10**6).map(lambda i: Batch(a, a, a)), workers=1)
    next(batches)
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_do_not_outlive_a_killed_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (worker,) = map(int, done.stdout.split())
    assert_ends(worker)

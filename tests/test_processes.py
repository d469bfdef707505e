"""Runs that several real processes share, on this machine's loopback, against runs of one."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from experiments import tiny_config

from jaxseg import processes
from jaxseg.report import read_lines
from jaxseg.train import train

# SGD, because an adaptive optimiser divides small gradients by their own size and so magnifies rounding.
SGD = {"optimizer.name": "sgd", "optimizer.learning_rate": 0.1}


@pytest.fixture(scope="module")
def launch(root):
    """Starts the tiny config in so many processes with so many devices each; they are gone when the tests are done."""
    started = []

    def start(folder, count, devices, **fields):
        flags = [f"--config.{name.replace('__', '.')}={value}" for name, value in {**SGD, **fields}.items()]
        environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(root)}
        environment["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
        started.append(
            subprocess.Popen(
                ["bash", "launch/local.sh", "--processes", str(count), "--devices-per-process", str(devices),
                 "--config", "tests/experiments.py", "--workdir", str(folder), *flags],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=root, env=environment,
            )
        )  # fmt: skip
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def finish(run, status=0):
    """Waits for a run to end with a status; what it said."""
    said = run.communicate(timeout=600)[0]
    assert run.returncode == status, said
    return said


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The lines of a run in this process."""
    folder = tmp_path_factory.mktemp("alone")
    train(tiny_config(**{name.replace(".", "__"): value for name, value in SGD.items()}), folder)
    return read_lines(folder / "metrics.jsonl")


def assert_same_lines(lines, expected):
    """Equal steps and splits, and numbers that differ by rounding only."""
    assert [(line["step"], line["split"]) for line in lines] == [(line["step"], line["split"]) for line in expected]
    for line, other in zip(lines, expected, strict=True):
        assert line.keys() == other.keys()
        for name in line.keys() - {"split"}:
            np.testing.assert_allclose(line[name], other[name], rtol=1e-5, atol=1e-5, err_msg=f"{name} of {line}")


def test_two_processes_train_as_one_and_one_goes_on_from_there(launch, alone, tmp_path):
    finish(launch(tmp_path, 2, 2, train__steps=2))
    assert_same_lines(read_lines(tmp_path / "metrics.jsonl"), alone[:3])
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["val_0000002.png"]
    train(tiny_config(optimizer__name="sgd", optimizer__learning_rate=0.1), tmp_path)
    assert_same_lines(read_lines(tmp_path / "metrics.jsonl"), alone)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "devices", "mesh"),
    [(4, 2, {"data": 2, "fsdp": 2, "spatial": 2}), (4, 1, {"spatial": 2})],
    ids=str,
)
def test_any_number_of_processes_and_any_mesh_train_as_one(launch, alone, tmp_path, count, devices, mesh):
    finish(launch(tmp_path, count, devices, **{f"mesh.{axis}": size for axis, size in mesh.items()}))
    assert_same_lines(read_lines(tmp_path / "metrics.jsonl"), alone)


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "at"), [(signal.SIGTERM, 1), (signal.SIGINT, 0)], ids=str)
def test_a_signal_to_one_process_stops_all_at_the_same_step(launch, tmp_path, signum, at):
    run = launch(tmp_path, 2, 2, train__steps=10000, train__evaluate_every=0, train__checkpoint_every=0)
    os.kill(process_of(run, at, wait_for_step(tmp_path, 3)), signum)
    said = finish(run, 128 + signum)
    last = read_lines(tmp_path / "metrics.jsonl")[-1]["step"]
    assert f"stopped by {signum.name} after step {last}, which is saved" in said
    assert str(last) in {path.name for path in (tmp_path / "checkpoints").iterdir()}
    # They go on from that step in another formation, and the lines are those of a run that was never stopped.
    finish(launch(tmp_path, 4, 1, train__steps=last + 2, train__evaluate_every=0))
    fields = {"train__steps": last + 2, "train__evaluate_every": 0, "train__checkpoint_every": 0}
    train(tiny_config(optimizer__name="sgd", optimizer__learning_rate=0.1, **fields), tmp_path / "alone")
    assert_same_lines(read_lines(tmp_path / "metrics.jsonl"), read_lines(tmp_path / "alone" / "metrics.jsonl"))


@pytest.mark.slow
def test_the_death_of_one_process_ends_the_run_which_then_goes_on(launch, alone, tmp_path):
    run = launch(tmp_path, 2, 2, train__steps=10000, train__evaluate_every=0, train__checkpoint_every=2)
    os.kill(process_of(run, 1, wait_for_step(tmp_path, 3)), signal.SIGKILL)
    finish(run, 128 + signal.SIGKILL)
    finish(launch(tmp_path, 1, 4, train__evaluate_every=2, train__steps=wait_for_step(tmp_path, 3) + 2))
    lines = [line for line in read_lines(tmp_path / "metrics.jsonl") if line["split"] == "train"]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    assert_same_lines(lines[:4], [line for line in alone if line["split"] == "train"])


def wait_for_step(folder, step):
    """Waits until a run has reported a step; the last one reported."""
    for _ in range(6000):
        lines = read_lines(folder / "metrics.jsonl")
        if lines and lines[-1]["step"] >= step:
            return lines[-1]["step"]
        time.sleep(0.02)
    pytest.fail(f"no step {step} in two minutes")


def process_of(run, index, _):
    """The process of a launched run that has a number."""
    for child in children(run.pid):
        with open(f"/proc/{child}/cmdline") as file:
            if f"--process_id={index}" in file.read().split("\0"):
                return child
    pytest.fail(f"no process {index}")


def children(parent):
    with open(f"/proc/{parent}/task/{parent}/children") as file:
        return [int(child) for child in file.read().split()]


def test_processes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="--coordinator is 'here'; expected host:port"):
        processes.join("here", 2, 0)
    with pytest.raises(ValueError, match="--num_processes is 2 and --process_id 2"):
        processes.join("127.0.0.1:1", 2, 2)
    with pytest.raises(ValueError, match="--num_processes is None"):
        processes.join("127.0.0.1:1", None, None)

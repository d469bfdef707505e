"""Runs that several real processes share, on this machine's loopback, against runs of one."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from experiments import tiny_config
from xla_flags import XLA_FLAGS

from jaxseg.inference.predictor import load
from jaxseg.parallel import processes
from jaxseg.reporting.log import computed_lines
from jaxseg.run import checkpoint_reader
from jaxseg.storage import as_path
from jaxseg.train import train

# SGD, because an adaptive optimizer divides small gradients by their own size and so magnifies rounding.
SGD = {"optimizer.name": "sgd", "optimizer.learning_rate": 0.1}


@pytest.fixture(scope="module")
def launch(root):
    """Starts the tiny config in so many processes with so many devices each; they are gone when the tests are done."""
    started = []

    def start(folder, count, devices, **fields):
        flags = [f"--config.{name.replace('__', '.')}={value}" for name, value in {**SGD, **fields}.items()]
        environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(root)}
        environment["XLA_FLAGS"] = XLA_FLAGS
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
    train(tiny_config(**in_python(SGD)), folder)
    return computed_lines(folder / "metrics.jsonl")


def in_python(fields):
    """Names of fields as ``tiny_config`` takes them."""
    return {name.replace(".", "__"): value for name, value in fields.items()}


def assert_same_lines(lines, expected):
    """Equal steps and splits, and numbers that differ by rounding only."""
    assert [(line["step"], line["split"]) for line in lines] == [(line["step"], line["split"]) for line in expected]
    for line, other in zip(lines, expected, strict=True):
        assert line.keys() == other.keys()
        for name in line.keys() - {"split"}:
            np.testing.assert_allclose(line[name], other[name], rtol=1e-5, atol=1e-5, err_msg=f"{name} of {line}")


@pytest.fixture(scope="module")
def halfway(launch, tmp_path_factory):
    """The workdir of a run of two processes with two devices each, halfway; not to be written to."""
    folder = tmp_path_factory.mktemp("halfway")
    finish(launch(folder, 2, 2, train__steps=2))
    return folder


@pytest.mark.slow
def test_two_processes_train_as_one_and_one_goes_on_from_there(halfway, alone, tmp_path):
    assert_same_lines(computed_lines(halfway / "metrics.jsonl"), alone[:3])
    assert [path.name for path in (halfway / "pictures").iterdir()] == ["val_0000002.png"]
    shutil.copytree(halfway, tmp_path, dirs_exist_ok=True)
    train(tiny_config(**in_python(SGD)), tmp_path)
    assert_same_lines(computed_lines(tmp_path / "metrics.jsonl"), alone)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "devices", "mesh"),
    [(1, 1, {}), (4, 1, {"spatial": 2}), (4, 2, {"data": 2, "fsdp": 2, "spatial": 2})],
    ids=str,
)
def test_any_number_of_processes_and_any_mesh_goes_on_from_there(
    launch, halfway, alone, tmp_path, count, devices, mesh
):
    shutil.copytree(halfway, tmp_path, dirs_exist_ok=True)
    finish(launch(tmp_path, count, devices, **{f"mesh.{axis}": size for axis, size in mesh.items()}))
    assert_same_lines(computed_lines(tmp_path / "metrics.jsonl"), alone)


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "at"), [(signal.SIGTERM, 1), (signal.SIGINT, 0)], ids=str)
def test_a_signal_to_one_process_stops_all_at_the_same_step(launch, tmp_path, signum, at):
    run = launch(tmp_path, 2, 2, train__steps=10000, train__evaluate_every=0, train__checkpoint_every=0)
    wait_for_step(tmp_path, 3)
    os.kill(processes_of(run)[at], signum)
    said = finish(run, 128 + signum)
    last = computed_lines(tmp_path / "metrics.jsonl")[-1]["step"]
    assert f"stopped by {signum.name} after step {last}, which is saved" in said
    assert str(last) in {path.name for path in (tmp_path / "checkpoints").iterdir()}
    # One goes on from that step, and the lines are those of a run that was never stopped.
    config = tiny_config(**in_python(SGD), train__steps=last + 2, train__evaluate_every=0, train__checkpoint_every=0)
    train(config, tmp_path)
    train(config, tmp_path / "alone")
    assert_same_lines(computed_lines(tmp_path / "metrics.jsonl"), computed_lines(tmp_path / "alone" / "metrics.jsonl"))


@pytest.mark.slow
def test_processes_that_are_killed_end_the_run_which_then_ends_as_an_undisturbed_one(launch, tmp_path):
    rng, folder = random.Random(0), tmp_path / "killed"
    fields = {"train__evaluate_every": 0, "train__checkpoint_every": 2}
    reached = 0
    for killed, saving in [((1,), True), ((0,), False), ((0, 1), True)]:
        run = launch(folder, 2, 1, train__steps=10000, **fields)
        wait_for_step(folder, reached + 1)
        wait_for_save(folder) if saving else time.sleep(rng.random())
        children = processes_of(run)
        for index in killed:
            os.kill(children[index], signal.SIGKILL)
        finish(run, 128 + signal.SIGKILL)
        reached = computed_lines(folder / "metrics.jsonl")[-1]["step"]
    finish(launch(folder, 2, 1, train__steps=reached + 3, **fields))
    finish(launch(tmp_path / "undisturbed", 2, 1, train__steps=reached + 3, **fields))
    lines, expected = (computed_lines(where / "metrics.jsonl") for where in (folder, tmp_path / "undisturbed"))
    assert lines == expected


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_two_processes_share_a_bucket_one_is_killed_and_both_resume_as_on_a_disk(
    launch, served_bucket, tmp_path, monkeypatch
):
    fields = {"train__steps": 15, "train__checkpoint_every": 3, "train__evaluate_every": 0}
    bucket = served_bucket("s3")
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    folder = as_path(f"{bucket.url}/runs/pair")
    killed = launch(folder, 2, 1, **fields)
    while killed.poll() is None and not checkpoint_reader.saved_steps(folder):
        time.sleep(0.05)
    os.kill(processes_of(killed)[1], signal.SIGKILL)
    finish(killed, 128 + signal.SIGKILL)
    assert "resumes from step" in finish(launch(folder, 2, 1, **fields))
    finish(launch(tmp_path, 2, 1, **fields))
    assert computed_lines(folder / "metrics.jsonl") == computed_lines(tmp_path / "metrics.jsonl")
    image = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    np.testing.assert_array_equal(load(str(folder)).predict(image).mask, load(tmp_path).predict(image).mask)


@pytest.mark.slow
def test_a_checkpoint_that_one_process_cannot_read_is_used_by_none(launch, halfway, alone, tmp_path):
    finish(launch(tmp_path, 2, 1, mesh__data=1, mesh__fsdp=2))
    (own,) = (tmp_path / "checkpoints" / "4" / "default").glob("ocdbt.process_1")
    damaged = [path for path in own.rglob("*") if path.is_file() and "manifest" not in path.name]
    assert damaged
    for path in damaged:
        path.write_bytes(path.read_bytes()[:50])
    said = finish(launch(tmp_path, 2, 1, mesh__data=1, mesh__fsdp=2))
    assert "checkpoint 4 cannot be read" in said
    assert f"{tmp_path} resumes from step 2" in said
    assert_same_lines(computed_lines(tmp_path / "metrics.jsonl"), alone)


EVALUATING = """
import json, sys, zlib
import numpy as np
from experiments import tiny_config, tiny_detector, tiny_experiment
import jaxseg.evaluate as evaluate
from jaxseg.parallel import processes

coordinator, count, index, detects = sys.argv[1], *map(int, sys.argv[2:])
if count > 1:
    processes.join(coordinator, count, index)
fields = {"data__select__first": 10} if detects else {}
experiment, _ = tiny_experiment((tiny_detector if detects else tiny_config)(train__batch_size=8, **fields))
source = evaluate.open_source(experiment.config.data, "val")
with evaluate.batches_of(experiment, source) as batches:
    seen = [zlib.crc32(image) for batch in batches for image in batch.image[batch.valid]]
scores = evaluate.score(experiment, experiment.steps.init(), source)
print(json.dumps({"seen": seen, "scores": scores}))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("counts", "detects"), [((2, 4), 0), ((2,), 1)], ids=["semantic", "instances"])
def test_evaluation_sees_each_image_once_and_all_report_the_same(root, counts, detects):
    (alone,) = evaluations(root, 1, detects)
    assert len(set(alone["seen"])) == len(alone["seen"]) == (10 if detects else 200)
    for count in counts:
        each = evaluations(root, count, detects)
        assert all(one["scores"] == each[0]["scores"] for one in each)
        assert all(one["seen"] for one in each)
        assert sorted(image for one in each for image in one["seen"]) == sorted(alone["seen"])
        for name, score in alone["scores"].items():
            values, expected = (np.array(value, float) for value in (each[0]["scores"][name], score))  # None: no value
            np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5, err_msg=name)


def evaluations(root, count, detects):
    """What each of so many processes with a device each sees and reports."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root / 'tests'}", "JAX_NUM_CPU_DEVICES": "1"}
    environment["XLA_FLAGS"] = XLA_FLAGS
    started = [
        subprocess.Popen(
            [sys.executable, "-c", EVALUATING, coordinator, str(count), str(index), str(detects)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )
        for index in range(count)
    ]  # fmt: skip
    said = [process.communicate(timeout=600) for process in started]
    assert all(process.returncode == 0 for process in started), said
    return [json.loads(out.splitlines()[-1]) for out, _ in said]


def wait_for_step(folder, step):
    """Waits until a run has reported a step; the last one reported."""
    for _ in range(30000):
        lines = computed_lines(folder / "metrics.jsonl")
        if lines and lines[-1]["step"] >= step:
            return lines[-1]["step"]
        time.sleep(0.02)
    pytest.fail(f"no step {step} in ten minutes")


def wait_for_save(folder):
    """Waits until a checkpoint is being written."""
    for _ in range(60000):
        if any("tmp" in path.name for path in (folder / "checkpoints").glob("*")):
            return
        time.sleep(0.002)
    pytest.fail("nothing was saved in two minutes")


def processes_of(run):
    """The processes of a launched run by their numbers."""
    found = {}
    for child in children(run.pid):
        with open(f"/proc/{child}/cmdline") as file:
            found.update({int(given[13:]): child for given in file.read().split("\0") if given[:13] == "--process_id="})
    return found


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

"""Runs in processes of their own: killed, out of disk, robbed of their data, stuck; and how they go on."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import chex
import pytest
from tiny_datasets import write_folder, write_pets
from xla_flags import XLA_FLAGS

from jaxseg.reporting.log import computed_lines, read_lines
from jaxseg.run import checkpoint_reader

MODULE = ("-m", "jaxseg.main")
SAVES_AT_EVALUATIONS = {"train__checkpoint_every": 0}  # and at the end: undisturbed runs need no other checkpoints


@pytest.fixture(autouse=True)
def _at_root(root, monkeypatch):
    monkeypatch.chdir(root)


def start(folder, steps, config="unet_shapes", program=MODULE, **fields):
    """A run in a process of its own."""
    fields = {"data.image_size": "(32,32)", "data.workers": 1, "data.dir": folder / "data", "model.features": 4,
              "model.depth": 1, "train.batch_size": 8, "train.steps": steps, "train.evaluate_every": 4,
              "train.checkpoint_every": 3, "optimizer.warmup_steps": 2,
              **{name.replace("__", "."): value for name, value in fields.items()}}  # fmt: skip
    command = [sys.executable, *program, "--config", f"configs/{config}.py", "--workdir", str(folder)]
    return subprocess.Popen(
        [*command, *(f"--config.{name}={value}" for name, value in fields.items())],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"XLA_FLAGS": XLA_FLAGS},  # one device is enough
    )  # fmt: skip


def wait_until(process, condition):
    """Waits for a condition, or for the process to end."""
    while process.poll() is None and not condition():
        time.sleep(0.002)


def has_step(folder, step):
    lines = read_lines(folder / "metrics.jsonl")
    return bool(lines) and lines[-1]["step"] >= step


def saves(folder):
    """Whether a checkpoint is being written."""
    return any("tmp" in path.name for path in (folder / "checkpoints").glob("*"))


def finish(process, status=0):
    """Waits for a run to end with a status; what it said."""
    said = process.communicate(timeout=600)[0]
    assert process.returncode == status, said
    return said


def arrays(folder):
    """The newest state of a workdir, whatever the devices that it was trained on."""
    return checkpoint_reader.read_newest(folder)


def assert_same_runs(folder, other):
    """Equal lines and equal bits."""
    assert computed_lines(folder / "metrics.jsonl") == computed_lines(other / "metrics.jsonl")
    chex.assert_trees_all_equal(arrays(folder), arrays(other))


@pytest.mark.slow
@pytest.mark.parametrize("moments", [(1, "save", 5, "save", "save")], ids=str)
def test_a_killed_run_ends_as_an_undisturbed_one(tmp_path, moments):
    """Killed so many steps after the last one that it had reached, or while it saves."""
    folder, rng, reached = tmp_path / "killed", random.Random(0), 0
    run = partial(start, steps=20 + 10 * len(moments), train__evaluate_every=16)
    undisturbed = run(tmp_path / "undisturbed", **SAVES_AT_EVALUATIONS)
    for moment in moments:
        killed = run(folder)
        if moment == "save":
            wait_until(killed, lambda: saves(folder))
        else:
            wait_until(killed, lambda step=reached + moment: has_step(folder, step))
            time.sleep(0.02 * rng.random())  # a step takes a few milliseconds
        killed.kill()
        finish(killed, -signal.SIGKILL)
        reached = max((line["step"] for line in read_lines(folder / "metrics.jsonl")), default=0)
        shutil.rmtree(folder / "data" / "cache", ignore_errors=True)
    finish(run(folder))
    finish(undisturbed)
    assert_same_runs(folder, tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Orbax leaves files and loops open
def test_predictions_beside_a_training_that_saves_every_step_change_nothing(tmp_path):
    """A reader that cleaned up, or moved what it could not read, would end the training or lose a checkpoint."""
    folder = tmp_path / "watched"
    fields = {"train__checkpoint_every": 1, "train__evaluate_every": 25}
    run = start(folder, 50, **fields)
    wait_until(run, lambda: checkpoint_reader.saved_steps(folder))
    seen = set()
    while run.poll() is None:
        seen.add(int(checkpoint_reader.read_newest(folder)["step"]))
    finish(run)
    assert len(seen) > 5
    assert not (folder / "checkpoints_unreadable").exists()
    finish(start(tmp_path / "undisturbed", 50, **fields | SAVES_AT_EVALUATIONS))
    assert_same_runs(folder, tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_second_training_in_the_same_workdir_is_refused(tmp_path):
    first = start(tmp_path / "run", 100000)
    wait_until(first, lambda: has_step(tmp_path / "run", 1))
    said = finish(start(tmp_path / "run", 100000), 2).splitlines()
    assert f"is in use: process {first.pid} on" in said[-1]
    assert first.poll() is None
    first.send_signal(signal.SIGTERM)
    finish(first, 128 + signal.SIGTERM)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("a small disk is a tmpfs, which only root may mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.slow
def test_a_full_disk_is_said_and_the_older_checkpoint_serves(small_disk, tmp_path):
    folder, data = small_disk / "run", {"data__dir": tmp_path / "data", "train__evaluate_every": 0}
    run = start(folder, 120, **data)
    wait_until(run, lambda: (folder / "checkpoints" / "3").exists())
    filler = (small_disk / "filler").open("wb", buffering=0)
    with filler, contextlib.suppress(OSError):
        while filler.write(b" " * 4096):
            pass
    said = finish(run, 2)
    assert "No space left on device" in said.splitlines()[-1], said
    assert "ake room" in said.splitlines()[-1], said
    assert "Traceback" not in said
    (small_disk / "filler").unlink()
    assert "resumes from step" in finish(start(folder, 120, **data))
    finish(start(tmp_path / "undisturbed", 120, **data, **SAVES_AT_EVALUATIONS))
    assert_same_runs(folder, tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_run_reads_on_from_deleted_records_and_the_next_one_names_them(tmp_path):
    write_pets(tmp_path / "pets", 20)
    fields = {"config": "unet_pets", "data__source_dir": tmp_path / "pets", "data__dir": tmp_path / "data",
              "data__cache": False, "data__split_seed": 1337, "data__train": "train", "data__val": "val",
              "data__test": "", "train__evaluate_every": 0}  # fmt: skip
    folder = tmp_path / "robbed"
    run = start(folder, 24, **fields)
    wait_until(run, lambda: has_step(folder, 4))
    (records,) = (tmp_path / "data").glob("oxford_pets/*/*.array_record-*")
    records.unlink()
    finish(run)  # it opened the file of both splits before step 1
    said = finish(start(folder, 24, **fields), 2)
    assert f"the prepared records in {records.parent} are missing or damaged" in said.splitlines()[-1]
    shutil.rmtree(records.parent)
    assert "is finished" in finish(start(folder, 24, **fields))
    finish(start(tmp_path / "undisturbed", 24, **fields, **SAVES_AT_EVALUATIONS))
    assert_same_runs(folder, tmp_path / "undisturbed")


IMPATIENT = """
import runpy
from jaxseg.data.stream import BatchStream
BatchStream.__init__.__kwdefaults__["timeout"] = 20.0
runpy.run_module("jaxseg.main", run_name="__main__", alter_sys=True)
"""


@pytest.mark.slow
def test_reading_that_hangs_is_reported_and_the_process_ends(tmp_path):
    """With threads and with a worker process; both runs read the same images and wait at the same time."""
    write_folder(tmp_path / "images", "abcdefghij")
    fields = {"config": "unet_folder", "data__source_dir": tmp_path / "images", "data__cache": False,
              "train__evaluate_every": 0}  # fmt: skip
    runs = {
        tmp_path / f"{workers} workers": start(
            tmp_path / f"{workers} workers", 100000, program=("-c", IMPATIENT), data__workers=workers, **fields
        )
        for workers in (0, 1)
    }
    for folder, run in runs.items():
        wait_until(run, lambda folder=folder: has_step(folder, 4))
    for image in (tmp_path / "images" / "images").iterdir():  # as on a disk whose server does not answer any more
        os.mkfifo(tmp_path / "silent")
        (tmp_path / "silent").rename(image)
    for folder, run in runs.items():
        assert "no batch came within 20.0 s: the data pipeline is stuck" in finish(run, 1)
        assert checkpoint_reader.saved_steps(folder)

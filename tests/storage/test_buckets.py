"""Runs whose workdir and data are in a bucket, on emulators of GCS and S3."""

import json
import os
import signal
import subprocess
import sys
import time

import chex
import numpy as np
import pytest
from experiments import tiny_config
from tiny_datasets import write_folder
from xla_flags import XLA_FLAGS

from jaxseg.data.sources import open_source
from jaxseg.reporting.log import computed_lines
from jaxseg.run import bucket_lock, checkpoint_reader
from jaxseg.run.errors import explain
from jaxseg.run.lock import locked
from jaxseg.storage import as_path, copy_folder, local_copies, write_text
from jaxseg.storage.local_copies import local_folder

pytestmark = [
    pytest.mark.slow,
    # Clients of buckets leave sockets and event loops to the end of the process.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
STEPS = 15


@pytest.fixture(params=["gs", "s3"])
def bucket(request, served_bucket, monkeypatch):
    """A bucket of each kind, which this process finds too."""
    bucket = served_bucket(request.param)
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    bucket.refuse(0)
    return bucket


def start(folder, root, **fields):
    """Starts a training in a process of its own."""
    fields = {"train.steps": STEPS, "train.checkpoint_every": 3, "train.evaluate_every": 6, **fields}
    command = [sys.executable, "-m", "jaxseg", "train", "tests/experiments.py", "--workdir", str(folder)]
    environment = os.environ | {"XLA_FLAGS": XLA_FLAGS, "PYTHONPATH": f"{root}:{root}/tests"}
    return subprocess.Popen(
        [*command, *(f"--config.{name}={value}" for name, value in fields.items())],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=root,
    )  # fmt: skip


def finish(process, status=0):
    """Waits for a run to end with a status; returns what it said."""
    said = process.communicate(timeout=200)[0]
    assert process.returncode == status, said
    return said


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, root):
    """A run on a disk."""
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(start(folder, root))
    return folder


def test_a_run_in_a_bucket_is_killed_refused_resumed_and_predicts_as_one_on_a_disk(bucket, undisturbed, root):
    from jaxseg.inference.predictor import load

    folder = as_path(f"{bucket.url}/runs/killed")
    killed = start(folder, root)
    while killed.poll() is None and not checkpoint_reader.saved_steps(folder):
        time.sleep(0.05)
    killed.kill()
    finish(killed, -signal.SIGKILL)
    assert (folder / "lock.json").exists()

    resumed = start(folder, root)
    while resumed.poll() is None and max(checkpoint_reader.saved_steps(folder), default=0) < 9:
        time.sleep(0.05)
    bucket.refuse(503)
    time.sleep(3)
    bucket.refusal = 0
    assert "resumes from step" in finish(resumed)
    assert bucket.refused
    assert not (folder / "lock.json").exists()

    assert computed_lines(folder / "metrics.jsonl") == computed_lines(undisturbed / "metrics.jsonl")
    chex.assert_trees_all_equal(checkpoint_reader.read_newest(folder), checkpoint_reader.read_newest(undisturbed))
    for name in (
        "report.html",
        "curves.png",
        f"pictures/val_{STEPS:07}.png",
        "sessions.json",
        "data.json",
        "model.txt",
    ):
        assert (folder / name).exists(), name
    image = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    np.testing.assert_array_equal(load(str(folder)).predict(image).mask, load(undisturbed).predict(image).mask)


@pytest.mark.parametrize("status", [401, 403])
def test_without_permission_there_is_one_line(bucket, status):
    bucket.refuse(status)
    with (
        pytest.raises(
            ValueError, match=rf"workdir {bucket.url}/run cannot be written .*credentials the rights"
        ) as refused,
        locked(as_path(f"{bucket.url}/run")),
    ):
        pass
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("status", [401, 403])
def test_what_cannot_be_read_is_explained(bucket, status):
    bucket.refuse(status)
    with pytest.raises(Exception) as refused:  # noqa: PT011, since each library has its own types
        checkpoint_reader.saved_steps(as_path(f"{bucket.url}/run"))
    explained = explain(refused.value)
    assert explained, repr(refused.value)
    assert explained.status == 2
    assert explained.line.startswith("a bucket does not accept the credentials (")
    assert "\n" not in explained.line


def test_a_refusal_for_a_while_is_waited_for(bucket):
    path = as_path(f"{bucket.url}/text")
    bucket.refuse(503, times=2)
    write_text(path, "written")
    assert path.read_text() == "written"
    assert bucket.refused == 2


def test_one_training_at_a_time(bucket, monkeypatch):
    folder = as_path(f"{bucket.url}/locked")
    monkeypatch.setattr(bucket_lock, "SETTLE", 0.1)
    monkeypatch.setattr(bucket_lock, "BEAT", 0.05)
    monkeypatch.setattr(bucket_lock, "WATCH", 1.0)
    path = folder / "lock.json"
    with locked(folder) as check:
        held = json.loads(path.read_text())
        with pytest.raises(ValueError, match=rf"is in use: process {os.getpid()} on"), locked(folder):
            pass
        # Seen from another host, the owner lives as long as it writes.
        monkeypatch.setattr(bucket_lock.socket, "gethostname", lambda: "elsewhere")
        with pytest.raises(ValueError, match=f"process {os.getpid()} on {held['host']}"), locked(folder):
            pass
        check()
        # Another process takes the workdir over, as from an owner that was suspended.
        # An owner that writes at this moment wins, which the other one sees when it looks again.
        with pytest.raises(ValueError, match="was taken over"):  # noqa: PT012
            for _ in range(20):
                write_text(path, json.dumps(held | {"token": "another", "host": "third"}))
                time.sleep(0.3)
                check()
    assert path.exists(), "it is the other one's"
    with locked(folder) as check:  # which does not write any more
        check()
    assert not path.exists()


def test_data_in_a_bucket_is_copied_once_and_again_where_it_changed(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv(local_copies.CACHE, str(tmp_path / "cache"))
    write_folder(tmp_path / "images", "abcde")
    url = f"{bucket.url}/data"
    copy_folder(tmp_path / "images", as_path(url))
    here, there = (
        tiny_config(data__name="folder", data__source_dir=where, data__dir=str(tmp_path / "prepared"))
        for where in (str(tmp_path / "images"), url)
    )
    expected, found = (open_source(config.data, "train") for config in (here, there))
    assert len(found.records) == len(expected.records) > 0
    for one, other in zip(found.records, expected.records, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.label, other.label)

    copies = local_folder(url)
    first, *others = sorted(path for path in copies.rglob("*") if path.is_file())
    before = {path: path.stat().st_mtime_ns for path in others}
    (as_path(url) / first.relative_to(copies).as_posix()).write_bytes(b"changed")
    (as_path(url) / others[-1].relative_to(copies).as_posix()).unlink()
    local_copies._copied.clear()
    assert local_folder(url) == copies
    assert first.read_bytes() == b"changed"
    assert not others[-1].exists()
    assert all(path.stat().st_mtime_ns == before[path] for path in others[:-1])


def test_every_use_of_a_file_waits_for_a_refusal_to_pass(bucket):
    folder = as_path(f"{bucket.url}/refused")
    (folder / "a").write_text("a")
    (folder / "below" / "b").write_text("b")
    uses = {
        "exists": (folder / "a").exists, "stat": (folder / "a").stat, "read": (folder / "a").read_text,
        "list": lambda: list(folder.iterdir()), "find": lambda: list(folder.glob("*/b")), "is_dir": folder.is_dir,
        "write": lambda: (folder / "c").write_text("c"), "large": lambda: (folder / "c").write_bytes(bytes(6 << 20)),
        "remove": (folder / "a").unlink, "remove all": (folder / "below").rmtree,
    }  # fmt: skip
    for name, use in uses.items():
        bucket.refuse(503, times=1)
        use()
        assert bucket.refused == 1, name
    assert [path.name for path in folder.iterdir()] == ["c"]
    began = time.monotonic()
    assert not (folder / "missing").exists()
    assert time.monotonic() - began < 10, "what is missing is not waited for"

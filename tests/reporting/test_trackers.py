"""Trackers get the numbers of a run, without a network."""

import json
import struct
import sys

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

from jaxseg.reporting.log import Report
from jaxseg.reporting.trackers import TRACKERS, RunInfo, check_trackers, open_trackers

PICTURE = np.full((6, 8, 3), 200, np.uint8)
CONFIG = {"task": "semantic", "data.image_size": (64, 64), "optimizer.learning_rate": 0.5}


def track(name, workdir):
    """Writes two steps, and a third one after the run was resumed."""
    workdir.mkdir(exist_ok=True)
    for steps in ((1, 2), (3,)):
        tracker = open_trackers((name,), RunInfo(workdir, steps[0] - 1, CONFIG))
        for step in steps:
            tracker.write_scalars(step, {"train/loss": 1 / step, "speed/images_per_second": 8.0})
        tracker.write_image(steps[-1], "val", PICTURE)
        tracker.close()


def events_of(path):
    """The events of a file of TensorBoard: length, checksum, content and checksum of each."""
    content = path.read_bytes()
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        yield Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]


def test_tensorboard_has_numbers_and_pictures(tmp_path):
    track("tensorboard", tmp_path / "run")
    events = [event for file in sorted((tmp_path / "run/tensorboard").iterdir()) for event in events_of(file)]
    values = [(event.step, value) for event in events for value in event.summary.value]
    losses = [(step, value.simple_value) for step, value in values if value.tag == "train/loss"]
    np.testing.assert_allclose(sorted(losses), [(1, 1), (2, 0.5), (3, 1 / 3)], rtol=1e-6)
    assert [step for step, value in values if value.tag == "val" and value.image.width == 8] == [2, 3]


def test_mlflow_has_numbers_pictures_and_config_in_one_run(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    track("mlflow", tmp_path / "run")
    client = mlflow.MlflowClient((tmp_path / "run/mlflow").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("jaxseg").experiment_id])
    assert run.info.run_name == "run"
    assert run.data.params["optimizer.learning_rate"] == "0.5"
    history = client.get_metric_history(run.info.run_id, "train/loss")
    np.testing.assert_allclose(sorted((one.step, one.value) for one in history), [(1, 1), (2, 0.5), (3, 1 / 3)])
    assert [file.path for file in client.list_artifacts(run.info.run_id, "pictures")] == [
        "pictures/val_0000002.png",
        "pictures/val_0000003.png",
    ]


@pytest.mark.filterwarnings("ignore")
def test_wandb_keeps_numbers_and_pictures_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    track("wandb", tmp_path / "run")
    content = b"".join(file.read_bytes() for file in (tmp_path / "run/wandb").rglob("*.wandb"))
    for words in (b"train/loss", b"images_per_second", b"learning_rate"):
        assert words in content
    assert list((tmp_path / "run/wandb").rglob("val*.png"))


@pytest.mark.filterwarnings("ignore")
def test_trackio_keeps_numbers_in_its_database(tmp_path, monkeypatch):
    import sqlite3

    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    track("trackio", tmp_path / "run")
    with sqlite3.connect(tmp_path / "trackio/jaxseg.db") as database:
        rows = database.execute("select step, metrics from metrics where run_name = 'run' order by step").fetchall()
    losses = [(step, loss) for step, text in rows if (loss := json.loads(text).get("train/loss")) is not None]
    np.testing.assert_allclose(losses, [(1, 1), (2, 0.5), (3, 1 / 3)])


def test_a_tracker_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(TRACKERS, "wandb", ("a_package_that_nobody_has", "wandb"))
    with pytest.raises(
        ValueError, match=r"trackers has 'wandb', which is not installed. Run pip install 'jaxseg\[wandb\]'"
    ):
        check_trackers(("tensorboard", "wandb"))
    with pytest.raises(ValueError, match=r"trackers is \('comet',\); expected names among tensorboard, wandb"):
        check_trackers(("comet",))


def test_a_run_gives_its_numbers_to_every_tracker_and_needs_none(tmp_path, monkeypatch):
    events = []

    class Fake:
        """A tracker in place of trackio, which need not be installed."""

        @staticmethod
        def open_tracker(run):
            from jaxseg.reporting.trackers import Tracker

            events.append(("open", run.start_step))
            return Tracker(
                lambda step, values: events.append(("scalars", step, dict(values))),
                lambda step, name, image: events.append(("image", step, name)),
                lambda: events.append(("close",)),
            )

    monkeypatch.setitem(TRACKERS, "trackio", ("json", "trackio"))
    monkeypatch.setitem(sys.modules, "jaxseg.reporting.trackers.trackio", Fake)
    with Report(tmp_path, 5, 10, 8, speaks=True, console="quiet", trackers=("trackio",)) as report:
        report.train(6, {"loss": 1.0})
        report.scores(6, "val", {"mean_iou": 0.5, "iou": [0.5]}, ("cat",))
        report.picture(6, "val", PICTURE)
    assert events == [
        ("open", 5),
        ("scalars", 6, {"train/loss": 1.0}),
        ("scalars", 6, {"val/mean_iou": 0.5}),
        ("image", 6, "val"),
        ("close",),
    ]
    assert not (tmp_path / "tensorboard").exists()
    with Report(tmp_path, 6, 10, 8, speaks=True, console="quiet", trackers=()) as report:
        report.train(7, {"loss": 1.0})

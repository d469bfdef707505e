"""Whole runs of a detector: what they leave, predictions, and resuming after a kill to the bit."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial

import chex
import numpy as np
import pytest
from experiments import tiny_detector
from PIL import Image
from report_tables import Tables
from xla_flags import XLA_FLAGS

import jaxseg.train as training
from jaxseg import predict
from jaxseg.metrics.average_precision import SCORES
from jaxseg.reporting.log import computed_lines
from jaxseg.run import checkpoint_reader

pytestmark = pytest.mark.slow

FIVE = {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask"}
FEW = {"data__select__first": 8, "train__batch_size": 8}


@pytest.fixture(scope="module")
def trained_detector(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detector")
    return folder, training.train(tiny_detector(**FEW), folder)


def test_a_run_leaves_losses_scores_and_pictures(trained_detector):
    folder, scores = trained_detector
    lines = computed_lines(folder / "metrics.jsonl")
    assert [(line["step"], line["split"]) for line in lines] == [
        (1, "train"), (2, "train"), (2, "val"), (3, "train"), (4, "train"), (4, "val"),
    ]  # fmt: skip
    assert set(lines[0]) == {"step", "split", "loss", "gradient_norm", "learning_rate", *FIVE}
    assert lines[0]["loss"] == pytest.approx(sum(lines[0][name] for name in FIVE), rel=1e-5)
    assert set(scores["val"]) == {*SCORES, "bbox_AP_by_class", "segm_AP_by_class"}
    assert len(scores["val"]["segm_AP_by_class"]) == 4
    with Image.open(folder / "pictures" / "val_0000004.png") as picture:
        assert picture.width == 4 * 324 + 4
        assert picture.height > 4 * 324 + 4, "titles above and a legend below"
    assert "MaskRCNN" in (folder / "model.txt").read_text()


def test_its_report_has_its_scores_and_examples(trained_detector):
    folder, scores = trained_detector
    page = (folder / "report.html").read_text(encoding="utf-8")
    rows = [row for row in Tables(page).tables["table-scores"] if row]
    shown = {f"{kind}_{row[0]}": row[column] for row in rows for column, kind in ((1, "bbox"), (2, "segm"))}
    assert shown == {name: "–" if scores["val"][name] is None else scores["val"][name] for name in SCORES}
    assert page.count("data:image/jpeg") == 8 * 4, "all images of the split"
    assert not (folder / "confusion_matrix.csv").exists()
    images = (folder / "per_image.csv").read_text(encoding="utf-8").splitlines()
    assert (images[0], len(images)) == ("image,file,f1,objects,found,right", 9)


def test_its_predictions_are_cocos(trained_detector, tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (50, 90, 3), np.uint8)).save(tmp_path / "photo.png")
    assert predict.predict(partial(predict.of_run, trained_detector[0], "latest"), [str(tmp_path)], tmp_path) == 0
    for one in json.loads((tmp_path / "predictions.json").read_text()):
        assert set(one) == {
            "image_id",
            "file_name",
            "category_id",
            "bbox",
            "score",
            "segmentation",
            "mask_file",
            "overlay_file",
        }
        assert one["segmentation"]["size"] == [50, 90]
    for kind in ("mask", "overlay"):
        with Image.open(tmp_path / f"photo_{kind}.png") as image:
            assert image.size == (90, 50)


def start(folder):
    """The run of a narrow detector in a process of its own."""
    fields = {"data.select.first": 8, "data.min_size": 64, "data.max_size": 64, "model.width": 4, "model.channels": 8,
              "model.hidden": 8, "train.batch_size": 4, "train.steps": 20, "train.evaluate_every": 0,
              "train.checkpoint_every": 5, "optimizer.warmup_steps": 2}  # fmt: skip
    command = [sys.executable, "-m", "jaxseg.main", "--config", "configs/mask_rcnn_shapes.py", "--workdir", str(folder)]
    return subprocess.Popen(
        [*command, *(f"--config.{name}={value}" for name, value in fields.items())],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=os.getcwd(),
        env=os.environ | {"XLA_FLAGS": XLA_FLAGS},  # one device is enough
    )  # fmt: skip


def kill_when_saved(process, folder):
    """Kills a run as soon as it has a checkpoint."""
    while process.poll() is None and not checkpoint_reader.saved_steps(folder):
        time.sleep(0.005)
    process.kill()
    said = process.communicate()[0]
    assert process.returncode == -signal.SIGKILL, said


def finish(process):
    """Waits for a run to end well; returns what it said."""
    said = process.communicate()[0]
    assert process.returncode == 0, said
    return said


def test_a_killed_run_ends_as_an_undisturbed_one(tmp_path, root, monkeypatch):
    monkeypatch.chdir(root)
    kill_when_saved(start(tmp_path / "killed"), tmp_path / "killed")
    assert "resumes from step" in finish(start(tmp_path / "killed"))
    finish(start(tmp_path / "undisturbed"))
    killed, undisturbed = (computed_lines(tmp_path / name / "metrics.jsonl") for name in ("killed", "undisturbed"))
    assert killed == undisturbed

    def arrays(folder):
        return checkpoint_reader.read_newest(folder)

    chex.assert_trees_all_equal(arrays(tmp_path / "killed"), arrays(tmp_path / "undisturbed"))

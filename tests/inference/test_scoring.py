"""Scores of tiled, mirrored and scaled predictions are those of the label maps and objects that predict writes."""

import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from drawn_objects import drawn_source
from experiments import tiny_config
from report_tables import Tables
from xla_flags import XLA_FLAGS

from jaxseg.data.sources import open_source
from jaxseg.evaluate import evaluate, load_state
from jaxseg.inference import instances, label_map_scoring, load
from jaxseg.inference.engine import Engine, Options, Prepared
from jaxseg.inference.instance_result import InstanceResult
from jaxseg.inference.predictor import ENGINES
from jaxseg.inference.scoring import draw_panels, local_model, score_predictions
from jaxseg.inference.semantic_result import SemanticResult
from jaxseg.metrics import coco_evaluation
from jaxseg.metrics import semantic as metrics
from jaxseg.run import workdir
from jaxseg.run.experiment import build
from jaxseg.tasks.task import Metric
from jaxseg.types import Record, Source

FEW = {"data__select__first": 6, "data__score_at": "original"}


def opened(folder):
    """The experiment of a run, its state and six images of its validation split."""
    config, names, palette = workdir.load(folder)
    config.data.select.first = 6
    experiment = build(config, names, palette, jax.devices()[:1])
    return experiment, load_state(experiment, folder, "latest"), open_source(config.data, "val", names)


def predict_and_score(experiment, state, source, options):
    return score_predictions(local_model(experiment, state), experiment.task.metric, source, options)


def test_each_image_once_gives_the_scores_of_the_run(trained):
    folder, _ = trained
    scores = evaluate(tiny_config(**FEW), folder, "latest")["val"]
    again, _ = predict_and_score(*opened(folder), Options(batch=3))
    assert again == {name: pytest.approx(scores[name], abs=1e-3) for name in again}
    assert set(scores) - set(again) == {"loss"}


@pytest.mark.parametrize(
    "options",
    [{"tile": 96, "overlap": 0.25, "flips": True}, pytest.param({"scales": (1.0, 1.5)}, marks=pytest.mark.slow)],
)
def test_scores_are_those_of_the_masks_that_predict_returns(trained, options):
    folder, _ = trained
    source, predictor = opened(folder)[2], load(folder)
    total = np.zeros((4, 4), np.int64)
    for record in source.records:
        np.add.at(total, (record.label, predictor.predict(record.image, **options).mask), 1)
    found = evaluate(tiny_config(**FEW), folder, "latest", options=Options(**options))
    assert found == {"val": metrics.result(total)}


def test_void_pixels_are_left_out_of_the_matrix():
    label = np.array([[0, 1, 255], [2, 2, 255]], np.uint8)
    predicted = np.array([[0, 2, 1], [2, 1, 0]], np.uint8)
    expected = [[1, 0, 0], [0, 0, 1], [0, 1, 1]]
    assert label_map_scoring.confusion_matrix(label, predicted, 3, rows=1).tolist() == expected


def test_an_image_that_cannot_be_read_ends_the_evaluation(trained):
    experiment, state, source = opened(trained[0])

    class Damaged(list):
        def __getitem__(self, index):
            raise ValueError("b.png is damaged")

    with pytest.raises(ValueError, match=r"b\.png is damaged"):
        predict_and_score(experiment, state, source._replace(records=Damaged(range(3))), Options(flips=True))


@pytest.mark.slow
def test_a_report_of_tiles_has_the_numbers_of_whole_images_where_a_tile_holds_an_image(trained, tmp_path):
    """Scores, confusion matrix, images, calibration and pictures; the model sees images of 160x160 pixels."""
    folder = shutil.copytree(trained[0], tmp_path / "run")
    config = json.loads((folder / "config.json").read_text())
    config["data"]["image_size"] = [160, 160]
    (folder / "config.json").write_text(json.dumps(config))

    def report(options):
        scores = evaluate(tiny_config(**FEW), folder, "latest", report=True, options=options)["val"]
        files = [(folder / name).read_text(encoding="utf-8") for name in ("confusion_matrix.csv", "per_image.csv")]
        return scores, files, (folder / "report.html").read_text(encoding="utf-8")

    (scores, files, page), (tiled_scores, tiled_files, tiled_page) = report(None), report(Options(tile=160))
    assert tiled_scores == {name: pytest.approx(value, abs=1e-9) for name, value in scores.items() if name != "loss"}
    assert tiled_files == files
    pictures = [re.findall(r'src="data:image/jpeg;base64,([^"]+)"', one) for one in (page, tiled_page)]
    assert len(pictures[0]) == 6 * 4
    assert pictures[1] == pictures[0]
    assert "tiles of 160, overlap 0.5" in tiled_page
    error, tiled_error = (Tables(one).tables["table-calibration"][-1] for one in (page, tiled_page))
    assert tiled_error[1] == pytest.approx(error[1], abs=0.01), "from all pixels, instead of a quarter of them"


def test_calibration_by_hand():
    """Three sure pixels, two of them right, an unsure wrong one, and one that nobody labeled."""
    label, mask = np.array([[1, 1, 1], [0, 255, 0]], np.uint8), np.array([[1, 1, 0], [1, 1, 1]], np.uint8)
    confidence = np.array([[255, 255, 255], [51, 255, 51]], np.uint8)
    result = SemanticResult(np.zeros((2, 3, 3), np.uint8), mask, ("a", "b"), np.zeros((2, 3)), confidence=confidence)
    sums = label_map_scoring.confidence_sums(label, result, rows=1)
    assert (sums[0, -1], sums[1, -1], sums[2, -1]) == (3, 3, 2)
    np.testing.assert_allclose(sums.sum(axis=1), [5, 3.4, 2])


def test_shares_of_processes_hold_each_image_once():
    """Image i has i pixels of class 1, which are all predicted."""
    labels = [(np.arange(9) < number).astype(np.uint8)[None] for number in range(6)]
    records = [
        Record(str(number), np.repeat(label[..., None], 3, axis=-1), label) for number, label in enumerate(labels)
    ]
    source = Source(records, ("a", "b"), np.zeros((2, 3), np.uint8))

    def finish(prepared, waiting):
        return SemanticResult(prepared.image, prepared.image[..., 0], source.class_names, source.palette)

    engine = Engine(lambda image: Prepared(image, (), None), lambda prepared: [None] * len(prepared), finish)
    parts = [label_map_scoring.count_label_maps(engine, 2, source, share=(number, 4)) for number in range(4)]
    assert [[one.index for one in part] for part in parts] == [[0, 4], [1, 5], [2], [3]]
    images = [*itertools.chain(*parts)]
    assert label_map_scoring.sum_confusions(images, 2).tolist() == [[54 - 15, 0], [0, 15]]
    found = label_map_scoring.describe_label_maps(images, source.class_names)
    assert [one.index for one in found.images] == list(range(6))
    assert [one.values["iou b"] for one in found.images] == [None, 1, 1, 1, 1, 1]
    assert (found.calibration.counts.sum(), found.confusion.sum()) == (0, 54)


@pytest.mark.slow
def test_two_processes_score_each_image_once_and_write_one_report(trained, tmp_path, root):
    alone, together = (shutil.copytree(trained[0], tmp_path / name) for name in ("alone", "together"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = ["--config", "tests/experiments.py", "--config.data.select.first=7"]
    command = [sys.executable, "-m", "jaxseg", "evaluate", *settings, "--tile", "96", "--overlap", "0.4", "--report"]
    environment = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}", "JAX_NUM_CPU_DEVICES": "1"}
    environment["XLA_FLAGS"] = XLA_FLAGS

    def start(folder, *flags):
        whole = [*command, "--workdir", str(folder), *flags]
        return subprocess.Popen(whole, cwd=root, env=environment, stdout=subprocess.PIPE, text=True)

    join = f"--coordinator=127.0.0.1:{port}", "--num_processes=2"
    runs = [start(alone), *(start(together, *join, f"--process_id={number}") for number in (0, 1))]
    said = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], said
    assert "{" not in said[2], "only the main process prints scores"
    scores = [json.loads(text[text.index("{") :]) for text in said[:2]]
    assert scores[1] == scores[0]
    assert len((alone / "per_image.csv").read_text().splitlines()) == 1 + 7
    for name in ("per_image.csv", "confusion_matrix.csv"):
        assert (together / name).read_text() == (alone / name).read_text(), name
    page = (together / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 7 * 4
    assert "tiles of 96, overlap 0.4" in page


def test_objects_that_are_all_found_score_one(trained, monkeypatch):
    """An engine that returns the annotated objects has an average precision of 1."""
    source = drawn_source([(48, 64), (64, 48)], [2, 3])
    experiment, state, _ = opened(trained[0])

    def finish(prepared, waiting):
        (record,) = [one for one in source.records if one.image is prepared.image]
        own = record.objects
        keep = ~own.crowd
        corners = own.boxes[keep].astype(int)
        parts = [mask[y1:y2, x1:x2] for mask, (x1, y1, x2, y2) in zip(own.masks[keep], corners, strict=True)]
        masks = np.stack([jax.image.resize(part.astype(np.float32), (28, 28), "linear") for part in parts])
        scores = np.ones(keep.sum(), np.float32)
        return InstanceResult(prepared.image, own.boxes[keep], scores, own.classes[keep], masks, source.class_names)

    engine = Engine(lambda image: Prepared(image, (), None), lambda prepared: [None] * len(prepared), finish)
    monkeypatch.setattr(instances, "make_engine", lambda trained, options: engine)
    with experiment.config.unlocked():
        experiment.config.task = "instances"
    metric = Metric(
        score=None,
        start=lambda source: coco_evaluation.start(source, 1),
        add=None,
        result=lambda found: coco_evaluation.scores(found, coco_evaluation.matches(found)),
        details=lambda found, share: coco_evaluation.details(found, coco_evaluation.matches(found)),
        names=(),
    )
    monkeypatch.setitem(ENGINES, "instances", lambda trained, options: engine)
    model, options = local_model(experiment, state), Options(tile=64)
    scores, details = score_predictions(model, metric, source, options, with_details=True)
    assert scores["bbox_AP"] == 1
    assert scores["segm_AP50"] == 1
    assert [(one.index, one.score) for one in details.images] == [(0, 1), (1, 1)]
    panels = draw_panels(model, options, source, [1, 0])
    assert [len(one) for one in panels] == [4, 4]
    assert panels[0][0].shape[0] > panels[0][0].shape[1], "the second image is higher than wide"

"""Scores of tiled, mirrored and scaled predictions are those of the label maps and objects that predict writes."""

import jax
import numpy as np
import pytest
from drawn_objects import drawn_source
from experiments import tiny_config

from jaxseg.data.sources import open_source
from jaxseg.evaluate import evaluate, load_state
from jaxseg.inference import instances, load, scoring
from jaxseg.inference.engine import Engine, Options, Prepared
from jaxseg.inference.instance_result import InstanceResult
from jaxseg.inference.scoring import score_predictions
from jaxseg.metrics import coco_evaluation
from jaxseg.metrics import semantic as metrics
from jaxseg.run import workdir
from jaxseg.run.experiment import build
from jaxseg.tasks.task import Metric

FEW = {"data__select__first": 6, "data__score_at": "original"}


def opened(folder):
    """The experiment of a run, its state and six images of its validation split."""
    config, names, palette = workdir.load(folder)
    config.data.select.first = 6
    experiment = build(config, names, palette, jax.devices()[:1])
    return experiment, load_state(experiment, folder, "latest"), open_source(config.data, "val", names)


def test_each_image_once_gives_the_scores_of_the_run(trained):
    folder, _ = trained
    scores = evaluate(tiny_config(**FEW), folder, "latest")["val"]
    again = score_predictions(*opened(folder), Options(batch=3))
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
    assert scoring.confusion_matrix(label, predicted, 3, rows=1).tolist() == expected


def test_an_image_that_cannot_be_read_ends_the_evaluation(trained):
    experiment, state, source = opened(trained[0])

    class Damaged(list):
        def __getitem__(self, index):
            raise ValueError("b.png is damaged")

    with pytest.raises(ValueError, match=r"b\.png is damaged"):
        score_predictions(experiment, state, source._replace(records=Damaged(range(3))), Options(flips=True))


def test_a_report_needs_predictions_of_whole_images(trained):
    with pytest.raises(ValueError, match="--report is given with --tile, --flips or --scales"):
        evaluate(tiny_config(), trained[0], "latest", report=True, options=Options(flips=True))


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
        details=None,
        names=(),
    )
    experiment = experiment._replace(task=experiment.task._replace(metric=metric))
    scores = score_predictions(experiment, state, source, Options(tile=64))
    assert scores["bbox_AP"] == 1
    assert scores["segm_AP50"] == 1

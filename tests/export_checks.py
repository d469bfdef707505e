"""What tests of exported detectors share."""

import json

import pytest
from experiments import tiny_trained

from jaxseg.commands import run
from jaxseg.data.sources import open_source
from jaxseg.inference.predictor import Predictor
from jaxseg.inference.scoring import score_detections
from jaxseg.tasks import make_task


def tiny_exported():
    """A tiny detector with its first parameters, which keeps many boxes, so that some of them meet objects."""
    detection = {"max_detections": 60, "score_threshold": 0.0, "nms_iou": 0.9}
    proposal = {"pre_nms_top_n": 40, "post_nms_top_n": 30}
    return tiny_trained(data__select__first=12, model__detection=detection, model__proposal=proposal)


def check_scores(trained, path, capsys):
    """Checks that `jaxseg evaluate --model` gives the scores of the model, which are not all 0."""
    source = open_source(trained.config.data, trained.config.data.val, trained.class_names)
    metric = make_task(trained.config, trained.class_names, trained.palette).metric
    expected = score_detections(Predictor(trained).engine(), metric, source)[0]
    capsys.readouterr()
    assert run(["evaluate", "--model", str(path)]) == 0
    found = json.loads(capsys.readouterr().out)["val"]
    assert found.keys() == expected.keys()
    for name in ("bbox_AP", "bbox_AR100", "segm_AP", "segm_AR100"):
        assert found[name] == pytest.approx(expected[name], abs=1e-6), name
    assert expected["bbox_AR100"] > 0

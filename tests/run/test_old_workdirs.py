"""Workdirs of older code: a run from before the fields of today were named, and configs without optional fields."""

import json
import shutil

import jax
import ml_collections
import numpy as np
import pytest
from experiments import tiny_config

from jaxseg.config import defaults
from jaxseg.config.renamed import MODEL
from jaxseg.data.augment import read_pipeline
from jaxseg.data.decoding import ReadOptions
from jaxseg.data.images import read_options
from jaxseg.data.semantic.sizing import read_sizing, scores_original
from jaxseg.evaluate import evaluate
from jaxseg.reporting.log import read_lines
from jaxseg.run import workdir
from jaxseg.run.experiment import build
from jaxseg.run.upgrade import BEFORE, flatten, nest, upgrade
from jaxseg.train import train


@pytest.fixture
def old_run(root, tmp_path):
    """A copy of a semantic run of four steps that older code wrote."""
    return shutil.copytree(root / "tests" / "golden" / "workdir_semantic", tmp_path / "run")


@pytest.mark.slow
def test_an_old_run_is_evaluated_predicts_and_resumes(old_run, capsys):
    from jaxseg.inference.predictor import load

    before = read_lines(old_run / "metrics.jsonl")
    scores = evaluate(tiny_config(), old_run, "best")["val"]
    assert scores["mean_iou"] == pytest.approx(before[-1]["mean_iou"], rel=1e-4)
    result = load(old_run).predict(np.zeros((40, 50, 3), np.uint8))
    assert result.mask.shape == (40, 50)
    train(tiny_config(train__steps=5, train__keep=1), old_run)
    assert "step 4" in capsys.readouterr().out
    after = read_lines(old_run / "metrics.jsonl")
    assert after[: len(before)] == before
    assert after[len(before)]["step"] == 5


def test_an_old_detector_is_built_with_the_sizes_that_it_had(root):
    config, names, palette = workdir.load(root / "tests" / "golden" / "workdir_detector")
    module = build(config, names, palette, jax.devices()[:1]).task.model.module
    assert module.proposal.pre_nms_top_n == 20
    assert module.proposal.post_nms_top_n == 12
    assert module.training_proposal.pre_nms_top_n == 20
    assert module.detection.max_detections == 5
    assert module.rpn_sampling.batch_size_per_image == 16
    assert module.box_sampling.batch_size_per_image == 8


@pytest.mark.parametrize("task", ["semantic", "instances"])
def test_a_config_without_any_optional_field_gets_what_its_code_did(task):
    config = upgrade({"task": task, "model": {"name": "any"}})
    assert config["remat"] is False
    today = {"semantic": defaults.semantic, "instances": defaults.detector}[task]()
    assert flatten(config).keys() == flatten(today.to_dict()).keys()
    assert config["model"] == {"name": "any"}
    saved = {"task": task, "model": {"name": "any"}, "train": {"batch_size": 7}, "remat": True}
    assert upgrade(saved)["train"]["batch_size"] == 7
    assert upgrade(saved)["remat"] is True


def test_a_saved_config_without_fields_of_the_data_reads_their_defaults():
    """Code that uses a field has no default of its own."""
    semantic, detector = (
        ml_collections.ConfigDict(upgrade({"task": task, "model": {"name": "any"}, "data": {"min_size": 48}})).data
        for task in ("semantic", "instances")
    )
    assert read_pipeline(semantic, "semantic").options["flip"].flip is False
    assert read_pipeline(detector, "instances").options["resize"].choices == (48,)
    assert read_options(semantic) == read_options(detector) == ReadOptions()
    assert read_sizing(semantic).stretches
    assert not scores_original(semantic)


def test_every_renamed_field_of_a_detector_goes_to_a_field_of_today():
    from jaxseg.models.fields import default_fields

    saved = nest({then: number for number, then in enumerate(MODEL)})
    model = flatten(upgrade({"task": "instances", **saved})["model"], "model")
    assert model == {now: number for number, now in enumerate(MODEL.values())}
    assert set(MODEL.values()) <= flatten(default_fields("mask_rcnn"), "model").keys()


def test_the_table_of_missing_fields_names_fields_of_today():
    assert BEFORE.keys() <= flatten(defaults.semantic().to_dict()).keys()


def test_a_config_of_an_unknown_task_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"task": "panoptic"}))
    with pytest.raises(ValueError, match="task is 'panoptic'; known are instances, semantic"):
        workdir.load(tmp_path)

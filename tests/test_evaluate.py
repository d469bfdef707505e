"""Scoring a run that is there already."""

import json
import warnings

import pytest
from experiments import tiny_config

import jaxseg.evaluate as evaluation
from jaxseg import commands
from jaxseg.run import workdir


def test_a_model_is_given_its_images_as_it_was_in_training(trained, monkeypatch):
    """Whatever the config says of that now; which images they are, it may say anew."""
    folder, _ = trained
    own = tiny_config().data
    given = {
        "resize": "short_side",
        "min_size": 96,
        "max_size": 128,
        "image_size": (64, 64),
        "mean": (0.0, 0.1, 0.2),
        "std": (1.0, 2.0, 3.0),
    }
    assert not any(own[field] == value for field, value in given.items())
    seen = []
    monkeypatch.setattr(evaluation, "score", lambda experiment, state, source: seen.append((experiment, source)))
    other = tiny_config(data__val="", data__test="test", **{f"data__{field}": value for field, value in given.items()})
    assert evaluation.evaluate(other, folder, "latest") == {"test": None}
    ((experiment, source),) = seen
    assert {field: experiment.config.data[field] for field in given} == {field: own[field] for field in given}
    assert source.records.split == "test"


def test_changes_that_an_evaluation_does_not_use_are_named(trained):
    """The model and its images are the run's own; which data and which devices may change."""
    folder, _ = trained
    config = workdir.load(folder)[0].unlock()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config.data.val, config.data.workers, config.mesh.fsdp, config.deterministic = "test", 1, 2, True
        evaluation.warn_of_unused(config, folder)
    config.train.batch_size, config.data.image_size = 3, (64, 64)
    with pytest.warns(UserWarning, match="is not used: an evaluation takes the run's own") as said:
        evaluation.warn_of_unused(config, folder)
    assert sorted(str(one.message).split("=")[0] for one in said) == ["data.image_size", "train.batch_size"]
    assert "data.image_size=(64, 64) is not used: an evaluation takes the run's own, " in str(said[0].message)


def test_the_scores_on_stdout_are_json(trained, capsys):
    folder, scores = trained
    assert commands.run(["evaluate", "--workdir", str(folder)]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["val"]["mean_iou"] == scores["val"]["mean_iou"]
    assert said.err == f"evaluating step 4 of {folder}\n"

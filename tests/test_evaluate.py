"""Scoring a run that is there already."""

from experiments import tiny_config

import jaxseg.evaluate as evaluation


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

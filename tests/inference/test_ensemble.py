"""Several runs as one model: changed fields are changed in each of them, and they are exported as one."""

import jax
import jax.numpy as jnp
import pytest

from jaxseg.commands import prediction, run
from jaxseg.inference import predictor
from jaxseg.inference.ensemble import join_models
from jaxseg.inference.export_function import make_function


def test_changed_fields_are_changed_in_each_member_of_an_ensemble(ensemble_runs, monkeypatch):
    members = []

    def note_members(models):
        members.extend(models)
        return join_models(models)

    monkeypatch.setattr(predictor, "join_models", note_members)
    # Commands that predict, export and serve a run load it by this function.
    joined = prediction.of_run(
        ensemble_runs, "latest", [("data.mean", "0.9,0.5,0.1"), ("model.norm_momentum", "0.5")]
    ).trained
    assert [member.config.seed for member in members] == [0, 1]
    assert [config.data.mean for config in (joined.config, *(member.config for member in members))] == [
        (0.9, 0.5, 0.1)
    ] * 3
    assert [model.norm_momentum for model in (joined.model.member, *(member.model for member in members))] == [0.5] * 3


def test_a_change_that_does_not_fit_the_parameters_of_an_ensemble_is_named(ensemble_runs):
    with pytest.raises(ValueError, match=r"the shape of the parameter .* in the changed model and .* in the run"):
        prediction.of_run(ensemble_runs, "latest", [("model.features", "2")])


def test_an_ensemble_has_an_exported_function(ensemble_runs):
    function = make_function(predictor.load(ensemble_runs).trained)
    outputs = jax.eval_shape(function, jax.ShapeDtypeStruct((2, 40, 48, 3), jnp.uint8))
    assert outputs["label"].shape == (2, 40, 48)


@pytest.mark.slow
def test_an_exported_ensemble_answers_as_its_runs_do(ensemble_runs, tmp_path):
    """The command compares them on ten images."""
    assert run(["export", str(ensemble_runs), "--output", str(tmp_path / "model.jaxseg")]) == 0

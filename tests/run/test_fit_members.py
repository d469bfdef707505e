"""Whether runs that are trained together fit into memory is known before their first step."""

import jax
import pytest
from experiments import tiny_config, tiny_experiment

from jaxseg.run import fit_members, memory
from jaxseg.run.members import check_together, compile_members


def prepared(devices, count, **fields):
    """An experiment on some devices, the steps of so many runs like it, and its training split."""
    experiment, source = tiny_experiment(tiny_config(mesh__data=devices, **fields), jax.local_devices()[:devices])
    return experiment, compile_members(experiment, list(range(count))), source


@pytest.mark.slow
def test_each_run_adds_its_state_and_its_batch_where_runs_take_turns():
    two, three = ({}, {})
    for found, count in ((two, 2), (three, 3)):
        experiment, steps, source = prepared(1, count)
        row = experiment.task.data.largest_batch(source, experiment.config.data, training=True)
        found["step"], found["held"] = steps.needed(row, 8), steps.held
    state = memory.held_bytes(experiment.steps.abstract_state)
    batch = 8 * (32 * 32 * 3 + 32 * 32 + 1)  # images, labels and validity
    assert three["step"] - two["step"] == state + batch
    assert three["held"] == 3 * state


@pytest.mark.slow
@pytest.mark.parametrize(
    ("devices", "held"), [(1, 2), (2, 1 + 2), (4, 2 + 2)], ids=["turns", "one per device", "whole"]
)
def test_runs_that_do_not_fit_together_are_refused(devices, held):
    experiment, steps, source = prepared(devices, 2, memory_limit=1.0)
    state = memory.held_bytes(experiment.steps.abstract_state)
    # Where the runs are mapped over devices, each device also has a copy of both for evaluations.
    assert steps.held == held * state
    said = []
    fitted = fit_members.fit_members(experiment, steps, 2, source, [source], said.append)
    assert fitted.steps.evaluate is not experiment.steps.evaluate  # it is compiled
    assert len(said) == 1
    assert said[0].endswith("of 1 GB per device for 2 runs")
    with experiment.config.unlocked():
        experiment.config.memory_limit = 2 * state / 1e9
    with pytest.raises(ValueError, match="batch_size is 8, which needs .* for 2 runs. Train fewer runs together"):
        fit_members.fit_members(experiment, steps, 2, source, [], said.append)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"mesh__fsdp": 2}, "mesh divides a model or an image"),
        ({"mesh__spatial": 2}, "mesh divides a model or an image"),
        ({"train__accumulate": "auto"}, "train.accumulate is 'auto'; expected a number for --seeds and --folds"),
    ],
)
def test_what_cannot_be_trained_together_is_refused_in_one_line(fields, told):
    config = tiny_config(mesh__data=1)
    with config.train.ignore_type():
        config.update_from_flattened_dict({name.replace("__", "."): value for name, value in fields.items()})
    devices = jax.local_devices()[: config.mesh.fsdp * config.mesh.spatial]
    experiment, _ = tiny_experiment(config, devices)
    with pytest.raises(ValueError, match=told):
        check_together(experiment)

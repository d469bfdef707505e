"""Batches and first losses of fixed seeds are those of a record that was made before the code was rearranged."""

import hashlib
import importlib
import json

import jax
import numpy as np
import pytest

from jaxseg.data.sources import open_source
from jaxseg.run.experiment import build, resolve

FIELDS = {
    "unet_shapes": {"model.features": 4, "train.batch_size": 4, "train.steps": 8, "optimizer.warmup_steps": 2},
    "mask_rcnn_shapes": {"model.width": 4, "train.batch_size": 2, "train.steps": 8, "optimizer.warmup_steps": 2},
}


def digest(batch):
    """The SHA-256 of shapes, types and bytes of a batch."""
    found = hashlib.sha256()
    for array in map(np.ascontiguousarray, jax.tree.leaves(batch)):
        found.update(str((array.shape, array.dtype)).encode())
        found.update(array.tobytes())
    return found.hexdigest()


def experiment_and_batches(name, folder):
    config = importlib.import_module(f"configs.{name}").get_config()
    config.update_from_flattened_dict(FIELDS[name] | {"data.dir": str(folder), "data.workers": 0})
    source = open_source(config.data, config.data.train)
    config = resolve(config, source)
    experiment = build(config, source.class_names, source.palette, jax.devices()[:1])
    seeds = {"batch_size": config.train.batch_size, "seed": config.seed, "start_step": 0}
    with experiment.task.data.train_batches(source, config.data, **seeds) as batches:
        return experiment, [next(batches) for _ in range(4)]


@pytest.fixture(scope="module")
def golden(root):
    return json.loads((root / "tests" / "golden" / "batches.json").read_text())


@pytest.mark.parametrize("name", FIELDS)
def test_batches_are_bitwise_those_of_the_record(name, golden, tmp_path):
    _, batches = experiment_and_batches(name, tmp_path)
    assert [digest(batch) for batch in batches] == golden[name]["batches"]


@pytest.mark.slow
@pytest.mark.parametrize("name", FIELDS)
def test_the_first_losses_and_gradients_are_those_of_the_record(name, golden, tmp_path):
    experiment, batches = experiment_and_batches(name, tmp_path)
    _, logs = experiment.steps.train(experiment.steps.init({}), experiment.steps.place(batches[0]))
    for term, expected in golden[name]["losses"][0].items():
        assert float(logs[term]) == pytest.approx(expected, rel=1e-4 if term == "gradient_norm" else 1e-5), term


@pytest.mark.slow
def test_the_losses_after_a_step_are_those_of_the_record(golden, tmp_path):
    """Of a semantic model. A detector chooses proposals by what it has learned, and rounding can change the choice.

    A change of its parameters by 1e-6 changed the second classification loss by 2e-2. So did another CPU.
    """
    experiment, batches = experiment_and_batches("unet_shapes", tmp_path)
    state, _ = experiment.steps.train(experiment.steps.init({}), experiment.steps.place(batches[0]))
    _, logs = experiment.steps.train(state, experiment.steps.place(batches[1]))
    for term, expected in golden["unet_shapes"]["losses"][1].items():
        assert float(logs[term]) == pytest.approx(expected, rel=1e-3 if term == "gradient_norm" else 1e-4), term

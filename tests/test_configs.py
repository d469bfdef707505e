"""Every config of a semantic model loads, builds and trains: on generated shapes, narrow, for three steps."""

import importlib

import jax
import numpy as np
import pytest
from experiments import tiny_experiment

from jaxseg.data.batches import train_batches

NARROW = {
    "unet": {"features": 2, "depth": 1},
    "unet_resnet": {"depth": 18, "width": 4},
    "fcn_vgg": {"width": 2, "hidden": 4},
    "fcn_resnet": {"width": 4},
}


def narrow(name):
    """A config of the folder on little data, with little to compute."""
    config = importlib.import_module(f"configs.{name}").get_config()
    config.data.update(name="shapes", splits="official", train="train", val="val", test="", source_dir="")
    config.data.update(image_size=(32, 32), workers=0, cache=False)
    config.model.update(NARROW[config.model.name])
    config.loss.class_weights = ()
    config.train.update(batch_size=2, steps=3)
    config.optimizer.warmup_steps = min(config.optimizer.warmup_steps, 1)
    return config


def heavy(name):
    return pytest.param(name, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "name", [heavy("unet_shapes"), heavy("unet_pets"), "unet_pets_strong", "unet_resnet34_pets", "fcn8s_pets"]
)
def test_a_config_takes_three_steps(name):
    config = narrow(name)
    experiment, source = tiny_experiment(config, jax.devices()[:1])
    state = experiment.steps.init()
    before = jax.device_get(state.params)
    with train_batches(source, config.data, batch_size=2, seed=0, start_step=0) as batches:
        for _ in range(3):
            state, logs = experiment.steps.train(state, experiment.steps.place(next(batches)))
    assert int(state.step) == 3
    assert np.isfinite(logs["loss"])
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), before, jax.device_get(state.params))
    assert np.mean(jax.tree.leaves(moved)) > 0.9

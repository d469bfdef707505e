"""Every config of a detector loads and builds, and trains, narrow and for two steps."""

import importlib

import jax
import numpy as np
import pytest
from experiments import tiny_experiment

from jaxseg.run.optimizers import make_schedule

NAMES = (
    "mask_rcnn_coco",
    "mask_rcnn_v2_coco",
    "mask_rcnn_folder",
    "mask_rcnn_folder_small",
    "mask_rcnn_pets",
    "mask_rcnn_shapes",
    "mask_rcnn_overfit",
)


def narrow(name):
    """A config of the folder on generated shapes, with little to compute."""
    config = importlib.import_module(f"configs.{name}").get_config()
    config.data.update(name="shapes", instances="", train="train", val="val", test="", workers=0, max_objects=6)
    config.data.update(min_size=64, max_size=64, crop_size=(64, 64))
    config.data.select.first = 8
    config.model.update(depth=18, width=4, channels=8, hidden=8)
    few = {"pre_nms_top_n": 20, "post_nms_top_n": 12}
    config.model.update(
        proposal=few,
        training_proposal=few,
        rpn_sampling={"batch_size_per_image": 16},
        box_sampling={"batch_size_per_image": 8},
    )
    config.init.weights = ""
    config.train.update(batch_size=2, steps=3)
    config.optimizer.warmup_steps = min(config.optimizer.warmup_steps, 1)
    return config


@pytest.mark.parametrize(
    "name", [name if name == "mask_rcnn_coco" else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_a_detectors_config_builds(name):
    experiment, _ = tiny_experiment(narrow(name), jax.devices()[:1])
    assert experiment.config.train.best_metric in experiment.task.metric.names
    assert set(experiment.steps.abstract_state.params) == {"backbone", "fpn", "rpn_head", "box_head", "mask_head"}


RECIPES = {  # torchvision's: images a batch, epochs, and the rate after so many of them
    "mask_rcnn_coco": (16, 26, {0: 0.02, 15.9: 0.02, 16: 2e-3, 21.9: 2e-3, 22: 2e-4, 25.9: 2e-4}),
    "mask_rcnn_v2_coco": (64, 400, {0: 0.1, 351.9: 0.1, 352: 0.01, 383.9: 0.01, 384: 1e-3, 399.9: 1e-3}),
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipes_are_torchvisions(name):
    config = importlib.import_module(f"configs.{name}").get_config()
    batch_size, epochs, rates = RECIPES[name]
    assert (config.train.batch_size, config.train.epochs) == (batch_size, epochs)
    steps_an_epoch = 117266 / batch_size
    schedule = make_schedule(config.optimizer, round(epochs * steps_an_epoch))
    warmup = [0, 499, 999]
    # Rates rise by differences of float32 numbers, which leaves the first of them four digits.
    np.testing.assert_allclose([schedule(step) for step in warmup], [rates[0] / n for n in (1000, 2, 1)], rtol=1e-4)
    for epoch, rate in rates.items():
        # A step later, for an epoch is no whole number of steps.
        np.testing.assert_allclose(schedule(max(1000, round(epoch * steps_an_epoch) + 1)), rate, rtol=1e-5)


FROZEN = ("backbone/conv1/", "backbone/bn1/", "backbone/layer1_")  # with three trainable layers
STEM_AND_LAYER_1 = ("backbone/conv1/kernel", "backbone/layer1_0/conv1/kernel", "backbone/layer1_1/conv2/kernel")


def named(params):
    """The parameters by their paths, such as "fpn/inner_0/kernel"."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {"/".join(entry.key for entry in path): value for path, value in leaves}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_detectors_config_takes_two_steps_and_what_is_frozen_stays(name):
    experiment, source = tiny_experiment(narrow(name), jax.devices()[:1])
    state = experiment.steps.init()
    before = jax.device_get(state.params)
    data = experiment.config.data
    with experiment.task.data.train_batches(source, data, batch_size=2, seed=0, start_step=0) as batches:
        for _ in range(2):
            state, logs = experiment.steps.train(state, experiment.steps.place(next(batches)))
    assert np.isfinite(logs["loss"])
    after = jax.device_get(state.params)
    frozen = FROZEN if name in ("mask_rcnn_coco", "mask_rcnn_folder") else ()
    old, new = named(before), named(after)
    moved = {path: bool((old[path] != new[path]).any()) for path in old}
    assert set(STEM_AND_LAYER_1) <= set(moved)
    for path, has_moved in moved.items():
        if frozen and path.startswith(frozen):
            assert not has_moved, path
        elif path.startswith("backbone/") and path.endswith("kernel"):
            assert has_moved, path
    assert any(has_moved for path, has_moved in moved.items() if path.startswith("fpn/"))  # a level may have no samples

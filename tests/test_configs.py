"""Every config of a semantic model loads, builds and trains, narrow and for three steps.

On a tiny folder in its data set's own layout; those of the pets and of the shapes, on generated shapes.
"""

import importlib

import jax
import numpy as np
import pytest
from experiments import tiny_experiment
from tiny_datasets import write_camvid, write_cityscapes, write_coco, write_folder, write_isbi, write_sbd, write_voc

from jaxseg.data.semantic.batches import train_batches
from jaxseg.data.sources import open_source

NARROW = {
    "unet": {"features": 2, "depth": 1},
    "unet_resnet": {"depth": 18, "width": 4},
    "fcn_vgg": {"width": 2, "hidden": 4},
    "fcn_resnet": {"width": 4},
}


def narrow(name):
    """A config of the folder, with little to compute."""
    config = importlib.import_module(f"configs.{name}").get_config()
    config.data.update(image_size=(32, 32), crop_size=(), workers=0, cache=False)
    config.model.update(NARROW[config.model.name])
    config.loss.class_weights = ()
    config.train.update(batch_size=2, steps=3)
    config.optimizer.warmup_steps = min(config.optimizer.warmup_steps, 1)
    return config


def heavy(name):
    return pytest.param(name, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "name",
    [heavy("unet_shapes"), heavy("unet_pets"), "unet_pets_strong", heavy("unet_resnet34_pets"), heavy("fcn8s_pets")],
)
def test_a_config_takes_three_steps(name):
    config = narrow(name)
    config.data.update(name="shapes", splits="official", train="train", val="val", test="", source_dir="")
    take_three_steps(config)


def write_voc_and_sbd(folder):
    write_voc(folder, {"train": ["2007_000032"], "val": ["2007_000033"]})
    write_sbd(folder, {"train": ["2008_000002"], "val": ["2007_000033"]})


WRITERS = {
    "unet_camvid": lambda folder: write_camvid(folder, {"train": 3, "val": 1}),
    "unet_isbi": lambda folder: write_isbi(folder, 8),
    "unet_folder": lambda folder: write_folder(folder, "abcde"),
    "fcn8s_voc": write_voc_and_sbd,
    "fcn_resnet50_voc": write_voc_and_sbd,
    "fcn_resnet50_coco_voc": lambda folder: write_coco(folder, [(40, 64), (60, 50)]),
    "fcn8s_voc_native": write_voc_and_sbd,
    "fcn8s_cityscapes_native": lambda folder: write_cityscapes(folder, [("train", "ulm", 0), ("val", "lindau", 1)]),
    "fcn8s_cityscapes": lambda folder: write_cityscapes(folder, [("train", "ulm", 0), ("val", "lindau", 1)]),
}


def with_own_data(name, folder):
    config = narrow(name)
    config.data.source_dir = str(folder)
    WRITERS[name](folder)
    return config


@pytest.mark.parametrize("name", WRITERS)
def test_a_config_builds_on_its_own_data_set(name, tmp_path):
    config = with_own_data(name, tmp_path)
    experiment, source = tiny_experiment(config, jax.devices()[:1])
    with train_batches(source, experiment.config.data, batch_size=2, seed=0, start_step=0) as batches:
        assert next(batches).image.shape == (2, 32, 32, 3)
    assert len(open_source(config.data, config.data.val).records) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_a_config_takes_three_steps_on_its_own_data_set(name, tmp_path):
    take_three_steps(with_own_data(name, tmp_path))


def take_three_steps(config):
    experiment, source = tiny_experiment(config, jax.devices()[:1])
    state = experiment.steps.init()
    before = jax.device_get(state.params)
    with train_batches(source, experiment.config.data, batch_size=2, seed=0, start_step=0) as batches:
        for _ in range(3):
            state, logs = experiment.steps.train(state, experiment.steps.place(next(batches)))
    assert int(state.step) == 3
    assert np.isfinite(logs["loss"])
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), before, jax.device_get(state.params))
    assert np.mean(jax.tree.leaves(moved)) > 0.9

"""Plans of augmentation on the device: what a config may ask for, and what batches then hold."""

import numpy as np
import pytest
from experiments import tiny_config

from configs.base import get_config
from jaxseg.config import load
from jaxseg.data.augment import read_pipeline
from jaxseg.data.augment.device import augments_on_device
from jaxseg.data.semantic.batches import largest_batch, train_batches
from jaxseg.data.sources import open_source
from jaxseg.run.experiment import build, resolve


@pytest.fixture
def data():
    config = get_config().data
    config.update(image_size=(20, 24), augment_on="device", workers=0, cache=False)
    return config


def test_a_flip_reverses_columns_and_a_vertical_one_rows(data):
    data.augment.update(flip=True, flip_vertical=True)
    pipeline = read_pipeline(data, "semantic")
    plans = [pipeline.plan(np.random.default_rng(seed), (3, 4)) for seed in range(20)]
    seen = {(tuple(plan.rows), tuple(plan.columns)) for plan in plans}
    assert seen == {(rows, columns) for rows in ((0, 1, 2), (2, 1, 0)) for columns in ((0, 1, 2, 3), (3, 2, 1, 0))}
    assert all(plan.colors is None for plan in plans)


def test_a_crop_of_half_the_side_reads_every_stored_pixel_once(data):
    """Images are stored at twice the size; a crop of exactly half then has positions one pixel apart."""
    data.augment.crop_scale = (0.5, 0.5)
    plan = read_pipeline(data, "semantic").plan(np.random.default_rng(3), (20, 24))
    np.testing.assert_allclose(np.diff(plan.rows), 1, atol=1e-5)
    assert plan.rows[0] >= 0
    assert plan.rows[-1] <= 39
    assert not plan.padded


def test_a_brighter_image_is_a_multiple(data):
    data.augment.brightness = 0.5
    colors = read_pipeline(data, "semantic").plan(np.random.default_rng(0), (3, 4)).colors
    np.testing.assert_allclose(colors, np.hstack([colors[0, 0] * np.eye(3), np.zeros((3, 3))]), atol=1e-6)
    assert 0.5 <= colors[0, 0] <= 1.5


def test_batches_hold_the_stored_images_and_do_not_depend_on_the_start(data):
    data.update(name="shapes", crop_size=(12, 16))
    data.augment.update(crop_scale=(0.5, 1.2), contrast=0.2, rotation=9.0, blur=0.6, noise=0.1)
    source = open_source(data, "train")
    with train_batches(source, data, batch_size=2, start_step=0) as batches:
        first, second = next(batches), next(batches)
    with train_batches(source, data, batch_size=2, start_step=1) as batches:
        np.testing.assert_array_equal(next(batches).columns, second.columns)
    largest = largest_batch(source, data, training=True)
    for array, one in zip(first, largest, strict=True):
        assert array.shape == (2, *one.shape[1:])
        assert array.dtype == one.dtype
    assert first.image.shape == (2, 24, 32, 3)
    assert first.rows.shape == first.shift_x.shape == (2, 12)
    assert first.columns.shape == first.shift_y.shape == (2, 16)
    assert first.blur.shape == (2, 3)
    assert (first.noise_key.dtype, first.noise_key.shape, first.noise_std.shape) == (np.uint32, (2, 2), (2,))


@pytest.mark.parametrize("name", ["unet_pets_strong", "unet_camvid", "fcn8s_pets", "fcn_resnet50_voc"])
def test_shipped_configs_can_use_the_device(name):
    data = load(name).data
    data.augment_on = "device"
    assert augments_on_device(data)


@pytest.mark.parametrize("name", ["unet_pets", "fcn8s_voc"])
def test_the_device_has_nothing_to_do_without_augmentation(name):
    data = load(name).data
    data.augment_on = "device"
    assert not augments_on_device(data)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"augment_on": "gpu"}, r"config\.data\.augment_on is 'gpu'; expected one of host, device\.$"),
        ({"augment.elastic": 3.0}, r"config\.data\.augment\.elastic is 3\.0; expected 0\.0 for .* Set .*='host'\.$"),
        ({"border_weight": 2.0}, r"config\.data\.border_weight is 2\.0; expected 0 for .* Set .*='host'\.$"),
        ({"resize": "short_side"}, r"config\.data\.resize is 'short_side'; expected 'stretch' for .*='host'\.$"),
    ],
)
def test_what_the_device_cannot_do_is_named(data, fields, message):
    data.augment.flip = True
    data.update_from_flattened_dict(fields)
    with pytest.raises(ValueError, match=message) as caught:
        augments_on_device(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mesh__spatial": 2}, r"mesh\.spatial is 2; expected 1 for data\.augment_on='device'"),
        ({"task": "instances"}, r"config\.data\.augment_on is 'device'; expected 'host', since detectors"),
    ],
)
def test_runs_that_cannot_use_the_device_end_before_compilation(fields, message):
    config = tiny_config(data__augment_on="device", data__augment__flip=True, **fields)
    source = open_source(config.data, "train")
    with pytest.raises(ValueError, match=message):
        build(resolve(config, source), source.class_names, source.palette)

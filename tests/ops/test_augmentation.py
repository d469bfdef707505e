"""Augmentation on the device makes the batches that the host makes: labels bit by bit, images within rounding."""

from functools import partial

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.base import get_config
from jaxseg.data.augment import read_pipeline
from jaxseg.data.augment.noise import random_bits, standard_normal
from jaxseg.data.semantic.planned_batches import stack_planned
from jaxseg.data.semantic.transforms import crop_size, mean_color
from jaxseg.ops import augmentation
from jaxseg.ops.augmentation import augment_batch
from jaxseg.ops.grid_sampling import sample_by_products
from jaxseg.types import Example

COUNT = 24
CROPS = {
    "smaller": {"crop_scale": (0.6, 1.0), "crop_ratio": (0.8, 1.25)},
    "with padding": {"crop_scale": (0.6, 1.4), "crop_ratio": (0.9, 1.1)},
    "exactly half": {"crop_scale": (0.5, 0.5)},
    "far smaller and larger": {"crop_scale": (0.05, 3.0)},
}
ROTATIONS = {
    "of whole images": {"rotation": 180.0},
    "of crops": {"rotation": 30.0, "crop_scale": (0.5, 1.3), "crop_ratio": (0.8, 1.25)},
    "of flipped crops": {"rotation": 10.0, "crop_scale": (0.5, 0.6), "flip": True, "flip_vertical": True},
}
PIXELS = {
    "blur": {"blur": 2.0},
    "wide blur": {"blur": 5.0},
    "noise": {"noise": 0.3},
    "blur and noise": {"blur": 1.0, "noise": 0.1},
}
COLORS = {name: {name: 1.0} for name in ("brightness", "contrast", "saturation", "hue")}
FLIPS = {name: {name: True} for name in ("flip", "flip_vertical")}
ALL = {
    "flip": True,
    "flip_vertical": True,
    "crop_scale": (0.6, 1.2),
    "crop_ratio": (0.9, 1.1),
    "brightness": 0.3,
    "contrast": 0.3,
    "saturation": 0.3,
    "hue": 0.1,
}
EVERYTHING = {**ALL, "rotation": 30.0, "blur": 1.0, "noise": 0.1}

# OpenCV 4 rounds the positions of pixels to 1/32.
exact_positions = pytest.mark.skipif(int(cv2.__version__.split(".")[0]) < 5, reason="needs OpenCV 5")


@pytest.fixture(params=["gathers", "products"])
def form(request, monkeypatch):
    """The form for TPUs, or that for other devices."""
    if request.param == "products":
        monkeypatch.setattr(augmentation, "sample_by_gathers", sample_by_products)


def on_both(fields, size=(37, 53), crop=(29, 41)):
    """Returns how far the device is from the host on images of noise; their label maps are equal."""
    data = get_config().data
    data.update(image_size=size, crop_size=crop)
    data.augment.update(fields)
    pipeline, rng = read_pipeline(data, "semantic"), np.random.default_rng(5)
    stored = pipeline.options["crop"].stored_size()
    examples = [
        Example(rng.integers(0, 256, (*stored, 3), np.uint8), rng.integers(0, 5, stored).astype(np.uint8))
        for _ in range(COUNT)
    ]
    rngs = [[np.random.default_rng([0, row]) for row in range(COUNT)] for _ in range(2)]
    host = [pipeline.augment(*pair) for pair in zip(rngs[0], examples, strict=True)]
    planned = stack_planned(examples, [pipeline.plan(rng, crop_size(data)) for rng in rngs[1]])
    augment = partial(augment_batch, fill=mean_color(data), draw_noise=partial(standard_normal, jnp))
    device = jax.jit(augment)(planned)
    assert device.image.dtype == np.uint8
    np.testing.assert_array_equal(np.stack([example.label for example in host]), device.label)
    image = np.stack([example.image for example in host])
    return np.abs(image.astype(int) - np.asarray(device.image))


@pytest.mark.parametrize("fields", FLIPS.values(), ids=FLIPS)
def test_flips_are_equal(form, fields):
    assert on_both(fields, (37, 53), (37, 53)).max() == 0


@exact_positions
@pytest.mark.parametrize("fields", CROPS.values(), ids=CROPS)
def test_crops_are_equal_within_one_gray_level(form, fields):
    difference = on_both(fields)
    assert difference.max() <= 1
    assert difference.mean() < 1e-3


@pytest.mark.parametrize("fields", COLORS.values(), ids=COLORS)
def test_colors_are_equal_within_one_gray_level(fields):
    assert on_both(fields, (37, 53), (37, 53)).max() <= 1


@exact_positions
@pytest.mark.parametrize("fields", ROTATIONS.values(), ids=ROTATIONS)
def test_rotations_are_equal_within_one_gray_level(fields):
    difference = on_both(fields)
    assert difference.max() <= 1
    assert difference.mean() < 1e-3


@pytest.mark.parametrize("fields", PIXELS.values(), ids=PIXELS)
def test_blur_and_noise_are_equal_within_one_gray_level(fields):
    difference = on_both(fields, (37, 53), (37, 53))
    assert difference.max() <= 1
    assert difference.mean() < 1e-3


def test_noise_has_the_bits_of_the_host():
    key = np.array([2**32 - 1, 7], np.uint32)
    bits = jax.jit(lambda key: random_bits(jnp, key, (20, 30, 3)))(key)
    np.testing.assert_array_equal(bits, random_bits(np, key, (20, 30, 3)))


@exact_positions
@pytest.mark.parametrize("fields", [ALL, EVERYTHING], ids=["without rotation", "with rotation, blur and noise"])
def test_all_together_are_equal_within_one_gray_level_but_for_one_pixel_in_ten_thousand(fields):
    """A gray level between two crops may grow by the factors of the colors after it."""
    difference = on_both(fields)
    assert difference.max() <= 3
    assert (difference > 1).mean() < 1e-4

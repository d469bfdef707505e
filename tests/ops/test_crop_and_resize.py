"""crop_and_resize: TensorFlow's documented case, corners on corners, extrapolation, a plain loop."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxseg.ops.crop_and_resize import crop_and_resize

RANDOM = np.random.default_rng(0)
jitted = jax.jit(crop_and_resize, static_argnames=("output_size", "extrapolation_value"))


def looped_crop(image, box, output_size, extrapolation_value):
    x1, y1, x2, y2 = box.astype(np.float64)
    height, width, channels = image.shape
    out = np.full((*output_size, channels), extrapolation_value, np.float64)
    for i in range(output_size[0]):
        for j in range(output_size[1]):
            y = (y1 + (y2 - y1) * i / (output_size[0] - 1)) * (height - 1)
            x = (x1 + (x2 - x1) * j / (output_size[1] - 1)) * (width - 1)
            if 0 <= y <= height - 1 and 0 <= x <= width - 1:
                top, left = int(y), int(x)
                bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
                upper = image[top, left] * (left + 1 - x) + image[top, right] * (x - left)
                lower = image[bottom, left] * (left + 1 - x) + image[bottom, right] * (x - left)
                out[i, j] = upper * (top + 1 - y) + lower * (y - top)
    return out


def test_the_documented_case():
    # Boxes .5...1 and .5...1.5 of two 500x500 images, to 50x50; the second leaves its image after 25 rows and columns.
    images = jnp.stack([jnp.full((500, 500, 1), 7.0), jnp.full((500, 500, 1), 9.0)])
    boxes = jnp.array([[[0.5, 0.5, 1.0, 1.0]], [[0.5, 0.5, 1.5, 1.5]]])
    crop = partial(crop_and_resize, output_size=(50, 50), extrapolation_value=-1.0)
    first, second = jax.jit(jax.vmap(crop))(images, boxes)[:, 0]
    chex.assert_shape([first, second], (50, 50, 1))
    chex.assert_trees_all_close(first, jnp.full((50, 50, 1), 7.0), rtol=1e-6)
    expected = jnp.full((50, 50, 1), -1.0).at[:25, :25].set(9.0)
    chex.assert_trees_all_close(second, expected, rtol=1e-6)


def test_the_whole_image_at_its_size_is_itself():
    image = RANDOM.normal(size=(6, 8, 3)).astype(np.float32)
    crop = jitted(image, jnp.array([[0.0, 0, 1, 1]]), output_size=(6, 8), extrapolation_value=0.0)
    chex.assert_trees_all_close(np.asarray(crop[0]), image, atol=1e-5)


def test_an_inverted_box_flips():
    image = RANDOM.normal(size=(6, 8, 3)).astype(np.float32)
    crop = jitted(image, jnp.array([[1.0, 0, 0, 1]]), output_size=(6, 8), extrapolation_value=0.0)
    chex.assert_trees_all_close(np.asarray(crop[0]), image[:, ::-1], atol=1e-5)


def test_a_single_pixel_is_the_middle_of_the_box():
    ramp = jnp.broadcast_to(jnp.arange(9.0)[None, :, None], (5, 9, 1))
    crop = jitted(ramp, jnp.array([[0.25, 0, 0.5, 1]]), output_size=(1, 1), extrapolation_value=0.0)
    assert float(crop.squeeze()) == pytest.approx(3.0)


def test_same_as_a_loop():
    image = RANDOM.normal(size=(7, 9, 2)).astype(np.float32)
    corners = RANDOM.uniform(-0.5, 1, (12, 2))
    boxes = np.concatenate([corners, corners + RANDOM.uniform(0, 1, (12, 2))], axis=1).astype(np.float32)
    crops = jitted(image, boxes, output_size=(4, 5), extrapolation_value=3.0)
    expected = np.stack([looped_crop(image, box, (4, 5), 3.0) for box in boxes])
    chex.assert_trees_all_close(np.asarray(crops, np.float64), expected, atol=1e-4)

"""RoIPool: both roundings by hand, a plain loop, gradients, and the textbook comparison with RoIAlign."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxseg.ops.roi_pool import quantized_bins, roi_pool

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(9, 12, 2)).astype(np.float32)
pool = jax.jit(partial(roi_pool, output_size=(3, 4), scale=0.25))


def looped_roi_pool(features, boxes, output_size, scale):
    out = np.zeros((len(boxes), *output_size, features.shape[2]), np.float32)
    for n, box in enumerate(boxes):
        x1, y1, x2, y2 = (int(np.sign(v) * np.floor(abs(v) * scale + 0.5)) for v in box.tolist())
        lengths = max(y2 - y1 + 1, 1) / output_size[0], max(x2 - x1 + 1, 1) / output_size[1]
        for i in range(output_size[0]):
            for j in range(output_size[1]):
                top, bottom = y1 + int(np.floor(i * lengths[0])), y1 + int(np.ceil((i + 1) * lengths[0]))
                left, right = x1 + int(np.floor(j * lengths[1])), x1 + int(np.ceil((j + 1) * lengths[1]))
                part = features[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
                out[n, i, j] = part.max(axis=(0, 1)) if part.size else 0
    return out


def test_same_as_a_loop():
    corners, sides = RANDOM.uniform(-15, 45, (40, 2)), RANDOM.uniform(0, 40, (40, 2))
    boxes = np.concatenate([corners, corners + sides], axis=1).astype(np.float32)
    boxes[:5] = [[0, 0, 0, 0], [8, 8, 8, 8], [100, 100, 120, 120], [-60, -60, -40, -40], [20, 20, 10, 10]]
    boxes[5:15] = np.round(boxes[5:15] / 2) * 2  # halves of a position, which round away from zero
    chex.assert_trees_all_equal(np.asarray(pool(FEATURES, boxes)), looped_roi_pool(FEATURES, boxes, (3, 4), 0.25))


def test_gradient_goes_to_the_largest():
    box = jnp.array([[0.0, 0, 44, 32]])
    gradient = jax.grad(lambda f: pool(f, box).sum())(jnp.asarray(FEATURES))
    pooled = np.asarray(pool(FEATURES, box))
    assert np.isin(FEATURES[np.asarray(gradient) != 0], pooled).all()
    assert float(gradient.sum()) == pooled.size


def test_the_textbook_example_shifts_by_whole_cells():
    # A 665-pixel box at stride 32 is 20.78 cells wide and has bins of 2.97 under RoIAlign. The first rounding makes it
    # 22 cells, the second each bin 4.
    starts, ends = (np.asarray(x[0]) for x in quantized_bins(jnp.array([0.0]), jnp.array([665.0]), 1 / 32, 7))
    np.testing.assert_array_equal(starts, [0, 3, 6, 9, 12, 15, 18])
    np.testing.assert_array_equal(ends, [4, 7, 10, 13, 16, 19, 22])
    exact_ends = np.arange(1, 8) * 665 / 32 / 7
    assert (ends - exact_ends).min() > 1  # every bin ends more than a cell, 32 pixels, too late

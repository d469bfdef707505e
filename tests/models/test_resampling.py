"""The 2x2 layers against their textbook definitions."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxseg.models.resampling import UpConv2x2, center_crop, max_pool_2x2


def _normal(*shape):
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (2, 3)])
def test_max_pool_and_its_gradient_are_linens(size):
    x = jnp.asarray(_normal(2, *size, 3))
    weights = jnp.asarray(_normal(2, size[0] // 2, size[1] // 2, 3))

    def loss(pool, x):
        return jnp.sum(pool(x) * weights)

    chex.assert_trees_all_equal(max_pool_2x2(x), nn.max_pool(x, (2, 2), (2, 2)))
    ours = jax.grad(lambda x: loss(max_pool_2x2, x))(x)
    theirs = jax.grad(lambda x: loss(lambda x: nn.max_pool(x, (2, 2), (2, 2)), x))(x)
    chex.assert_trees_all_equal(ours, theirs)


def test_up_convolution_stamps_the_kernel_on_every_pixel():
    x = _normal(2, 3, 4, 5)
    kernel, bias = _normal(2, 2, 5, 6), _normal(6)
    expected = np.zeros((2, 6, 8, 6), np.float32) + bias
    for i, j, r, s in np.ndindex(3, 4, 2, 2):
        expected[:, 2 * i + r, 2 * j + s] += x[:, i, j] @ kernel[r, s]
    up = UpConv2x2(6, kernel_init=nn.initializers.zeros)
    y = up.apply({"params": {"kernel": kernel, "bias": bias}}, x)
    chex.assert_trees_all_close(y, expected, atol=1e-5)


def test_center_crop_keeps_the_centre():
    x = np.arange(5 * 6).reshape(1, 5, 6)
    np.testing.assert_array_equal(center_crop(x, 3, 2), x[:, 1:4, 2:4])
    np.testing.assert_array_equal(center_crop(x, 2, 3)[0, 0], x[0, 1, 1:4])  # the odd rest goes at the end
    with pytest.raises(AssertionError):
        center_crop(x, 6, 6)

"""The layers against their textbook definitions."""

from functools import partial

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxseg.models.fcn_resnet import resize_bilinear
from jaxseg.models.resampling import (
    BilinearUp,
    UpConv2x2,
    bilinear_kernel,
    center_crop,
    max_pool_2x2,
    pad_to_multiple,
    transposed_convolution,
)


def _normal(*shape):
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (2, 3)])
def test_max_pool_and_its_gradient_are_linens(size):
    weights = _normal(2, size[0] // 2, size[1] // 2, 3)

    @partial(jax.jit, static_argnums=0)
    def pooled_and_gradient(pool, x):
        return pool(x), jax.grad(lambda x: jnp.sum(pool(x) * weights))(x)

    x, of_linen = _normal(2, *size, 3), partial(nn.max_pool, window_shape=(2, 2), strides=(2, 2))
    chex.assert_trees_all_equal(pooled_and_gradient(max_pool_2x2, x), pooled_and_gradient(of_linen, x))


def test_of_equal_numbers_one_has_the_whole_gradient_and_nan_is_kept():
    x = np.array([[2.0, 2.0, 0.0, np.nan], [2.0, 2.0, 1.0, 3.0]], np.float32)[None, :, :, None]
    pooled, pull = jax.vjp(max_pool_2x2, x)
    np.testing.assert_array_equal(pooled.ravel(), [2.0, np.nan])
    (gradient,) = pull(jnp.array([5.0, 7.0]).reshape(1, 1, 2, 1))
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[5.0, 0.0, 0.0, 7.0], [0.0, 0.0, 0.0, 0.0]])


@pytest.mark.parametrize("cpu_kernels", [False, True])
def test_up_convolution_stamps_the_kernel_on_every_pixel(cpu_kernels):
    x = _normal(2, 3, 4, 5)
    kernel, bias = _normal(2, 2, 5, 6), _normal(6)
    expected = np.zeros((2, 6, 8, 6), np.float32) + bias
    for i, j, r, s in np.ndindex(3, 4, 2, 2):
        expected[:, 2 * i + r, 2 * j + s] += x[:, i, j] @ kernel[r, s]
    up = UpConv2x2(6, kernel_init=nn.initializers.zeros, cpu_kernels=cpu_kernels)
    y = up.apply({"params": {"kernel": kernel, "bias": bias}}, x)
    chex.assert_trees_all_close(y, expected, atol=1e-5)


def test_center_crop_keeps_the_centre():
    x = np.arange(5 * 6).reshape(1, 5, 6)
    np.testing.assert_array_equal(center_crop(x, 3, 2), x[:, 1:4, 2:4])
    np.testing.assert_array_equal(center_crop(x, 2, 3)[0, 0], x[0, 1, 1:4])  # the odd rest goes at the end
    with pytest.raises(AssertionError):
        center_crop(x, 6, 6)


def test_transposed_convolution_is_zero_insertion_and_a_convolution():
    """3x3 input, 3x3 kernel, stride 2, padding 1: zeros between the pixels, a border of zeros, the kernel turned."""
    x, kernel = _normal(2, 3, 3, 4), _normal(3, 3, 4, 5)
    inserted = np.zeros((2, 5, 5, 4), np.float32)
    inserted[:, ::2, ::2] = x
    bordered = np.pad(inserted, ((0, 0), (1, 1), (1, 1), (0, 0)))  # kernel - 1 - padding
    expected = np.zeros((2, 5, 5, 5), np.float32)
    for i, j, r, s in np.ndindex(5, 5, 3, 3):
        expected[:, i, j] += bordered[:, i + r, j + s] @ kernel[2 - r, 2 - s]
    chex.assert_trees_all_close(transposed_convolution(x, kernel, 2, 1), expected, atol=1e-5)


@pytest.mark.parametrize(("size", "stride", "padding"), [((4, 4), 2, 1), ((16, 16), 8, 4), ((2, 5), 3, 0)])
def test_transposed_convolution_is_the_gradient_of_a_convolution(size, stride, padding):
    x, kernel = _normal(2, 3, 4, 5), _normal(*size, 5, 6)
    y = transposed_convolution(x, kernel, stride, padding)

    def convolution(y):
        return jax.lax.conv_general_dilated(
            y, kernel.transpose(0, 1, 3, 2), (stride, stride), [(padding, padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip

    chex.assert_trees_all_close(y, jax.vjp(convolution, jnp.zeros(y.shape))[1](x)[0], atol=1e-4)


@pytest.mark.parametrize("factor", [2, 8, 32])
def test_upsampling_starts_as_bilinear_interpolation(factor):
    x = jnp.asarray(_normal(1, 4, 5, 3))
    up = jax.jit(BilinearUp(factor).apply)
    variables = {"params": {"kernel": bilinear_kernel(None, (2 * factor, 2 * factor, 3, 3), jnp.float32)}}
    chex.assert_trees_all_equal(BilinearUp(factor).init(jax.random.key(0), x), variables)
    y = up(variables, x)
    chex.assert_shape(y, (1, 4 * factor, 5 * factor, 3))
    # At the border, interpolation repeats the last pixel where a transposed convolution has none.
    inner = slice(factor // 2, -(factor // 2))
    expected = resize_bilinear(x, (4 * factor, 5 * factor))
    chex.assert_trees_all_close(y[:, inner, inner], expected[:, inner, inner], atol=1e-5)
    changed = jax.tree.map(lambda kernel: kernel.at[0, 0, 0, 1].add(1.0), variables)
    assert np.abs(up(changed, x) - y).max() > 0.1


def test_padding_fills_up_with_zeros_at_the_end():
    x = _normal(1, 5, 8, 2)
    padded = pad_to_multiple(x, 4)
    chex.assert_shape(padded, (1, 8, 8, 2))
    np.testing.assert_array_equal(padded[:, :5], x)
    assert not padded[:, 5:].any()

"""The 3x3 convolution and its gradients against XLA's own."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxseg.models import convolutions
from jaxseg.ops import winograd


def _normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


def _plain(x, kernel, margin):
    padding = [(margin, margin)] * 2
    return lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


@partial(jax.jit, static_argnums=(0, 4))
def _value_and_gradients(conv, x, kernel, weights, margin):
    y, pull_back = jax.vjp(lambda x, kernel: conv(x, kernel, margin), x, kernel)
    return y, pull_back(weights)


@pytest.fixture(params=[1, 8], ids=["one device", "eight devices"])
def devices(request, monkeypatch):
    monkeypatch.setattr(convolutions.jax, "device_count", lambda: request.param)
    jax.clear_caches()
    yield request.param
    jax.clear_caches()


@pytest.fixture(autouse=True)
def few_channels_suffice(monkeypatch):
    """Blocks for the small convolutions of these tests too."""
    monkeypatch.setattr(convolutions, "MIN_BLOCKED_CHANNELS", 2)


@pytest.mark.parametrize("margin", [0, 1])
@pytest.mark.parametrize("channels", [(3, 5), (5, 3)])
def test_value_and_gradients_are_xlas(devices, margin, channels):
    c, f = channels
    x, kernel = _normal(2, 7, 6, c), _normal(3, 3, c, f, seed=1)
    weights = _normal(2, 5 + 2 * margin, 4 + 2 * margin, f, seed=2)
    ours = _value_and_gradients(convolutions.conv_3x3, x, kernel, weights, margin)
    chex.assert_trees_all_close(ours, _value_and_gradients(_plain, x, kernel, weights, margin), atol=2e-5)


@pytest.mark.parametrize("pixels", [1, 24, 1000])
def test_the_gradient_does_not_depend_on_the_blocks(monkeypatch, pixels):
    """Of one row, of several, and of a whole image."""
    monkeypatch.setattr(convolutions, "BLOCK_PIXELS", pixels)
    x, dy = _normal(2, 8, 6, 3), _normal(2, 8, 6, 4, seed=1)
    _, expected = jax.vjp(lambda kernel: _plain(x, kernel, 1), jnp.zeros((3, 3, 3, 4)))
    chex.assert_trees_all_close(convolutions.blocked_gradient(x, dy, 1), expected(dy)[0], atol=2e-5)


def test_blocks_divide_the_rows_or_else_the_images(monkeypatch):
    monkeypatch.setattr(convolutions, "BLOCK_PIXELS", 100)
    widths = (10, 20, 30, 51, 1000)
    assert [convolutions._block(1, 12, width) for width in widths] == [(1, 6), (1, 4), (1, 3), (1, 1), (1, 1)]
    assert convolutions._block(1, 7, 20) == (1, 1)  # a prime number of rows
    assert convolutions._block(8, 5, 5) == (4, 5)
    assert convolutions._block(3, 5, 10) == (1, 5)  # two would fit, but do not divide three


def test_blocks_are_for_one_device(devices):
    assert has_blocks(2, 2) == (devices == 1)


@pytest.mark.parametrize("devices", [1], indirect=True)
def test_blocks_are_for_many_channels(devices):
    assert has_blocks(2, 3)
    assert not has_blocks(1, 3)
    assert not has_blocks(3, 1)


def has_blocks(c, f):
    """Whether the gradient of a convolution from c to f channels comes in blocks."""
    x, kernel, dy = _normal(1, 4, 4, c), _normal(3, 3, c, f), _normal(1, 4, 4, f)
    return "while" in _value_and_gradients.lower(convolutions.conv_3x3, x, kernel, dy, 1).as_text()


def test_bfloat16_gradients_are_summed_in_float32():
    x, dy = _normal(4, 32, 32, 2).astype(jnp.bfloat16), _normal(4, 32, 32, 2, seed=1).astype(jnp.bfloat16)
    gradient = convolutions.blocked_gradient(x, dy, 1)
    assert gradient.dtype == jnp.bfloat16
    exact = convolutions.blocked_gradient(x.astype(jnp.float32), dy.astype(jnp.float32), 1)
    chex.assert_trees_all_close(gradient.astype(jnp.float32), exact, rtol=2**-8, atol=1e-3)


@pytest.fixture
def winograd_for_all(monkeypatch):
    monkeypatch.setattr(convolutions, "MIN_WINOGRAD_PRODUCTS", 1)
    monkeypatch.setattr(convolutions.jax, "device_count", lambda: 1)
    jax.clear_caches()
    yield
    jax.clear_caches()


@pytest.mark.parametrize("margin", [0, 1])
@pytest.mark.parametrize("shape", [(2, 8, 6, 3, 5), (1, 7, 9, 5, 3), (1, 3, 4, 2, 2)])
def test_winograds_value_and_gradients_are_xlas(winograd_for_all, margin, shape):
    """Of even and odd sides; the kernel's gradient in both orders of its product."""
    b, h, w, c, f = shape
    x, kernel = _normal(b, h, w, c), _normal(3, 3, c, f, seed=1)
    weights = _normal(b, h - 2 + 2 * margin, w - 2 + 2 * margin, f, seed=2)
    ours = _value_and_gradients(convolutions.conv_3x3, x, kernel, weights, margin)
    chex.assert_trees_all_close(ours, _value_and_gradients(_plain, x, kernel, weights, margin), atol=3e-5)


def test_winograd_loses_no_more_than_a_few_roundings():
    """Against float64, with the channels of a real layer."""
    x, kernel = _normal(1, 20, 20, 64), _normal(3, 3, 64, 128, seed=1) / 24
    with jax.enable_x64(True):
        exact = _plain(x.astype(jnp.float64), kernel.astype(jnp.float64), 1)
    chex.assert_trees_all_close(winograd.convolve(x, kernel, 1), exact.astype(jnp.float32), atol=1e-5)


def test_winograd_is_for_many_channels_maps_that_fit_and_more_than_16_bits(winograd_for_all, monkeypatch):
    x, kernel = _normal(1, 4, 4, 2), _normal(3, 3, 2, 4)
    assert convolves_by_winograd(x, kernel)
    assert not convolves_by_winograd(x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16))
    monkeypatch.setattr(convolutions, "MAX_WINOGRAD_ELEMENTS", 16 * 4 - 1)
    assert not convolves_by_winograd(x, kernel)
    monkeypatch.setattr(convolutions, "MAX_WINOGRAD_ELEMENTS", 16 * 4)
    assert convolves_by_winograd(x, kernel)
    monkeypatch.setattr(convolutions, "MIN_WINOGRAD_PRODUCTS", 9)
    assert not convolves_by_winograd(x, kernel)


def convolves_by_winograd(x, kernel):
    jax.clear_caches()
    text = jax.jit(convolutions.conv_3x3, static_argnums=2).lower(x, kernel, 1).as_text()
    return "stablehlo.convolution" not in text

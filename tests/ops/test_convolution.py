"""The convolution that is fast on a CPU, and its gradients, against XLA's."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxseg.benchmarks.flops import count_flops
from jaxseg.ops import convolution, convolution_gradients, winograd
from jaxseg.ops.convolution import Geometry, convolve

# Kernel size, stride, padding and dilation of every convolution that a model has.
USED = [
    (1, 1, 0, 1),  # bottlenecks, laterals, scores
    (1, 2, 0, 1),  # projected shortcuts
    (3, 1, 1, 1),
    (3, 1, 0, 1),  # the paper's U-Net
    (3, 2, 1, 1),  # the first block of a stage
    (3, 1, 2, 2),  # FCN-ResNet's layer3 and layer4
    (3, 1, 4, 4),
    (7, 2, 3, 1),  # a ResNet's stem
    (7, 1, 3, 1),  # fc6 of FCN-VGG
]


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


@partial(jax.jit, static_argnums=(2, 3))
def value_and_gradients(x, kernel, geometry, cpu_kernels):
    def convolved(x, kernel):
        return convolve(x, kernel, **geometry._asdict(), cpu_kernels=cpu_kernels)

    y, pull_back = jax.vjp(convolved, x, kernel)
    return y, pull_back(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))


def same_in_both_forms(x, kernel, geometry, atol=5e-5):
    xla, cpu = (value_and_gradients(x, kernel, geometry, form) for form in (False, True))
    chex.assert_trees_all_close(cpu, xla, atol=atol)


@pytest.fixture(params=["blocks", "winograd"])
def few_channels_suffice(request, monkeypatch):
    """Uses blocks, or Winograd's algorithm where it is possible, for the few channels of these tests."""
    monkeypatch.setattr(convolution, "MIN_BLOCKED_CHANNELS", 1)
    monkeypatch.setattr(convolution, "MIN_WINOGRAD_PRODUCTS", {"blocks": 10**9, "winograd": 1}[request.param])
    jax.clear_caches()
    yield request.param
    jax.clear_caches()


@pytest.mark.parametrize(("size", "stride", "padding", "dilation"), USED)
def test_value_and_both_gradients_are_xlas(few_channels_suffice, size, stride, padding, dilation):
    if few_channels_suffice == "winograd" and (size != 3 or stride != 1):
        pytest.skip("Winograd's algorithm is for 3x3 kernels of stride 1")
    geometry = Geometry(stride, padding, dilation)
    same_in_both_forms(normal(2, 9, 7, 3), normal(size, size, 3, 5, seed=1), geometry)


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (1, 2), (2, 1)])
def test_sides_that_tiles_and_strides_divide(few_channels_suffice, stride, dilation):
    same_in_both_forms(normal(1, 8, 12, 5), normal(3, 3, 5, 3, seed=1), Geometry(stride, dilation, dilation))


def test_a_kernel_that_is_larger_than_all_its_windows(few_channels_suffice):
    """fc6 of FCN-VGG: 2 x 9 x 7 pixels are fewer than 130 channels of the output."""
    x, kernel, geometry = normal(2, 9, 7, 3), normal(7, 7, 3, 130, seed=1), Geometry(1, 3, 1)
    same_in_both_forms(x, kernel, geometry, atol=2e-4)
    text = value_and_gradients.lower(x, kernel, geometry, True).as_text()
    assert "stablehlo.convolution" not in text
    assert "stablehlo.convolution" in value_and_gradients.lower(x, kernel[..., :120], geometry, True).as_text()


@pytest.mark.parametrize("stride", [1, 2])
def test_the_last_stage_of_a_resnet_on_small_images_is_one_product(stride):
    """60 pixels of the input are fewer than the 128 channels of the output."""
    x, kernel, geometry = normal(2, 5, 6, 64), normal(3, 3, 64, 128, seed=1) / 20, Geometry(stride, 1, 1)
    same_in_both_forms(x, kernel, geometry)
    text = value_and_gradients.lower(x, kernel, geometry, True).as_text()
    assert "stablehlo.convolution" not in text
    assert text.count("dot_general") == 3


def test_only_the_kernel_gradient_of_few_channels_is_a_product():
    x, kernel, geometry = normal(1, 40, 44, 16), normal(3, 3, 16, 24, seed=1) / 12, Geometry(1, 1, 1)
    same_in_both_forms(x, kernel, geometry, atol=2e-4)
    text = value_and_gradients.lower(x, kernel, geometry, True).as_text()
    assert text.count("stablehlo.convolution") == 2
    assert text.count("dot_general") == 1


def test_few_channels_are_left_to_xla():
    """Bitwise: runs of narrow models keep their losses."""
    x, kernel = normal(2, 8, 8, 3), normal(3, 3, 3, 5, seed=1)
    xla, cpu = (value_and_gradients(x, kernel, Geometry(1, 1, 1), form) for form in (False, True))
    chex.assert_trees_all_equal(cpu, xla)


def test_the_form_of_xla_is_its_own_operation_in_both_directions(few_channels_suffice):
    x, kernel = normal(2, 8, 8, 3), normal(3, 3, 3, 5, seed=1)
    text = value_and_gradients.lower(x, kernel, Geometry(1, 1, 1), False).as_text()
    assert text.count("stablehlo.convolution") == 3
    assert "dot_general" not in text
    assert "while" not in text


def test_a_3x3_kernel_of_many_channels_takes_winograds_algorithm_if_the_map_fits(monkeypatch):
    def convolves_by_winograd(x, kernel, **geometry):
        text = jax.jit(partial(convolve, **geometry, cpu_kernels=True)).lower(x, kernel).as_text()
        return "stablehlo.convolution" not in text

    x, kernel = jnp.zeros((2, 16, 16, 64)), jnp.zeros((3, 3, 64, 128))
    assert convolves_by_winograd(x, kernel, padding=1)
    assert convolves_by_winograd(x, kernel, padding=2, dilation=2)
    assert not convolves_by_winograd(x, kernel, padding=1, dilation=2)  # windows would leave their phase
    assert not convolves_by_winograd(x, kernel, padding=1, stride=2)
    assert not convolves_by_winograd(x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16), padding=1)
    assert not convolves_by_winograd(x, kernel[..., :64], padding=1)
    monkeypatch.setattr(convolution, "MAX_WINOGRAD_ELEMENTS", 2 * 256 * 128 - 1)
    assert not convolves_by_winograd(x, kernel, padding=1)
    monkeypatch.setattr(convolution, "MANY_CHANNELS", 64)
    assert convolves_by_winograd(x, kernel, padding=1)


@pytest.fixture
def small_blocks(few_channels_suffice, monkeypatch):
    """Divides kernels of 24 products of channels into 3 blocks, and smaller ones not at all."""
    monkeypatch.setattr(winograd, "MIN_BLOCKED_KERNEL", 24)
    monkeypatch.setattr(winograd, "MAX_KERNEL_BLOCK", 8)
    monkeypatch.setattr(winograd, "MAX_TILES_PER_CHANNEL", 100)


@pytest.mark.parametrize("few_channels_suffice", ["winograd"], indirect=True)
@pytest.mark.parametrize(("channels", "dilation"), [pytest.param((6, 4), 1, marks=pytest.mark.slow), ((3, 9), 2)])
def test_blocks_of_a_large_kernel_change_nothing(small_blocks, channels, dilation):
    """The channels of the input or those of the output, whichever are more, are divided into 3 blocks."""
    x, kernel = normal(2, 9, 7, channels[0]), normal(3, 3, *channels, seed=1)
    geometry = Geometry(1, dilation, dilation)
    same_in_both_forms(x, kernel, geometry)
    assert value_and_gradients.lower(x, kernel, geometry, True).as_text().count("stablehlo.while") == 3


@pytest.mark.parametrize(
    ("kernel", "tiles", "blocks"),
    [
        ((2048, 512), 450, 4),  # the head of FCN-ResNet50
        ((512, 512), 512, 2),
        ((256, 256), 512, 2),
        ((256, 256), 2184, 1),  # the RPN of Mask R-CNN on P2
        ((128, 256), 450, 1),
    ],
)
def test_a_large_kernel_on_a_small_map_has_blocks(kernel, tiles, blocks):
    assert winograd._block_count(*kernel, tiles, max(kernel)) == blocks
    assert winograd._block_count(*kernel, tiles, 257) == 1, "blocks divide the channels"


def test_winograd_loses_no_more_than_a_few_roundings():
    """Against float64, with the channels of a real layer."""
    x, kernel = normal(1, 20, 20, 64), normal(3, 3, 64, 128, seed=1) / 24
    with jax.enable_x64(True):
        exact = convolve(x.astype(jnp.float64), kernel.astype(jnp.float64), padding=1)
    chex.assert_trees_all_close(winograd.convolve(x, kernel, 1), exact.astype(jnp.float32), atol=1e-5)


def test_a_frozen_kernel_has_no_gradient_to_compute():
    x, kernel = jnp.zeros((1, 16, 16, 64)), jnp.zeros((3, 3, 64, 128))

    def loss(x, kernel):
        return jnp.sum(convolve(x, kernel, padding=1, cpu_kernels=True) ** 2)

    both, of_the_map = (count_flops(jax.grad(loss, argnums), x, kernel) for argnums in ((0, 1), 0))
    assert of_the_map == pytest.approx(both * 2 / 3, rel=0.2)


@pytest.mark.parametrize(
    "pixels", [24, pytest.param(1, marks=pytest.mark.slow), pytest.param(1000, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("stride", [1, 2])
def test_the_gradient_does_not_depend_on_the_blocks(monkeypatch, pixels, stride):
    """One row, several rows, and a whole image."""
    monkeypatch.setattr(convolution_gradients, "BLOCK_PIXELS", pixels)
    monkeypatch.setattr(convolution_gradients, "MANY_CHANNELS_BLOCK_PIXELS", pixels)
    x, dy = normal(2, 8, 6, 3), normal(2, 8 // stride, 6 // stride, 4, seed=1)
    _, expected = jax.vjp(lambda kernel: convolve(x, kernel, stride=stride, padding=1), jnp.zeros((3, 3, 3, 4)))
    general = convolution_gradients.kernel_gradient(x, dy, (3, 3), stride, 1, 1)
    chex.assert_trees_all_close(general, expected(dy)[0], atol=2e-5)
    dy_left = convolution_gradients.kernel_gradient(x, dy, (3, 3), stride, 1, 1, dy_left=True)
    chex.assert_trees_all_close(dy_left, expected(dy)[0], atol=2e-5)
    if stride == 1:
        chex.assert_trees_all_close(convolution_gradients.kernel_gradient_3x3(x, dy, 1), expected(dy)[0], atol=2e-5)


def test_blocks_divide_the_rows_or_else_the_images():
    block = partial(convolution_gradients._block, pixels=100)
    assert [block(1, 12, width) for width in (10, 20, 30, 51, 1000)] == [(1, 6), (1, 4), (1, 3), (1, 1), (1, 1)]
    assert block(1, 7, 20) == (1, 1)  # a prime number of rows
    assert block(8, 5, 5) == (4, 5)
    assert block(3, 5, 10) == (1, 5)  # two would fit, but do not divide three


@pytest.mark.parametrize("stride", [1, 2])
def test_bfloat16_gradients_are_summed_in_float32(stride):
    x, dy = (a.astype(jnp.bfloat16) for a in (normal(4, 32, 32, 2), normal(4, 32 // stride, 32 // stride, 2, seed=1)))
    gradient = partial(convolution_gradients.kernel_gradient, size=(3, 3), stride=stride, padding=1, dilation=1)
    if stride == 1:
        gradient = partial(convolution_gradients.kernel_gradient_3x3, padding=1)
    assert gradient(x, dy).dtype == jnp.bfloat16
    exact = gradient(x.astype(jnp.float32), dy.astype(jnp.float32))
    chex.assert_trees_all_close(gradient(x, dy).astype(jnp.float32), exact, rtol=2**-8, atol=1e-3)


@pytest.mark.parametrize("dy_left", [False, True])
def test_bfloat16_gradients_of_few_channels_are_the_rounded_ones_of_float32(dy_left):
    # XLA's CPU compiler once failed on this product of bfloat16 numbers, transposed.
    x, dy = normal(2, 4, 4, 16).astype(jnp.bfloat16), normal(2, 4, 4, 16, seed=1).astype(jnp.bfloat16)
    gradient = jax.jit(lambda x, dy: convolution_gradients.kernel_gradient(x, dy, (3, 3), 1, 1, 1, dy_left))
    exact = gradient(x.astype(jnp.float32), dy.astype(jnp.float32)).astype(jnp.bfloat16)
    chex.assert_trees_all_close(gradient(x, dy).astype(jnp.float32), exact.astype(jnp.float32), rtol=2**-8)

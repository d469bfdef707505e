"""Operations are counted by what a layer is, not by how it is computed."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from jaxseg.benchmarks.flops import count_flops
from jaxseg.ops import convolution
from jaxseg.ops.convolution_gradients import kernel_gradient_3x3

IMAGE = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32)
KERNEL = jax.ShapeDtypeStruct((3, 3, 3, 5), jnp.float32)


def convolve(image, kernel, stride=1, padding="SAME"):
    return lax.conv_general_dilated(
        image, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def test_a_product_and_a_loop_of_products():
    square = jax.ShapeDtypeStruct((4, 4), jnp.float32)
    assert count_flops(jnp.dot, square, square) == 2 * 4**3
    assert count_flops(jax.jit(lambda x: lax.scan(lambda c, _: (c @ x, None), x, length=7)[0]), square) == 7 * 2 * 4**3


def test_of_two_branches_the_dearer_counts():
    def either(x):
        return lax.cond(x[0, 0] > 0, lambda x: x @ x @ x, lambda x: x @ x, x)

    assert count_flops(either, jax.ShapeDtypeStruct((4, 4), jnp.float32)) == 2 * 2 * 4**3


@pytest.mark.parametrize(("stride", "padding", "positions"), [(1, "SAME", 64), (2, "SAME", 16), (1, "VALID", 36)])
def test_each_gradient_of_a_convolution_costs_as_much_as_the_convolution(stride, padding, positions):
    def gradients(image, kernel):
        y, pull_back = jax.vjp(lambda image, kernel: convolve(image, kernel, stride, padding), image, kernel)
        return pull_back(y)

    forward = count_flops(lambda *inputs: convolve(*inputs, stride, padding), IMAGE, KERNEL)
    assert forward == 2 * 2 * positions * 9 * 3 * 5
    if padding == "SAME":
        assert count_flops(gradients, IMAGE, KERNEL) == 3 * forward


def test_a_gradient_in_blocks_costs_what_a_plain_one_does():
    output = jax.ShapeDtypeStruct((2, 8, 8, 5), jnp.float32)
    assert count_flops(lambda x, dy: kernel_gradient_3x3(x, dy, 1), IMAGE, output) == 2 * 2 * 64 * 9 * 3 * 5


def test_what_a_gradient_does_not_need_is_not_counted():
    def gradients(image, kernel):
        y, pull_back = jax.vjp(partial(convolution.convolve, padding=1, cpu_kernels=True), image, kernel)
        return y, pull_back(y)

    assert count_flops(gradients, IMAGE, KERNEL) == 3 * 2 * 2 * 64 * 9 * 3 * 5


def test_xla_counts_the_same_where_there_is_no_loop_and_no_border():
    compiled = jax.jit(lambda *inputs: convolve(*inputs, padding="VALID")).lower(IMAGE, KERNEL)
    counted = count_flops(lambda *inputs: convolve(*inputs, padding="VALID"), IMAGE, KERNEL)
    assert compiled.cost_analysis()["flops"] == pytest.approx(counted, rel=0.01)

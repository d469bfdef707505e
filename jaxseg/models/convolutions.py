"""A 3x3 convolution that is quick on CPUs too, with its gradients.

XLA's CPU backend convolves as fast as it multiplies matrices, so with many channels Winograd's fewer multiplications
win. It computes the gradient of a kernel as a convolution whose window is the whole feature map, at a fraction of that
speed. With fewer channels the gradient becomes a sum of matrix products over blocks of rows or small images, each block
small enough for a core's cache.
"""

import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype, Initializer
from jax import lax

from jaxseg.ops import winograd

BLOCK_PIXELS = 1600  # long enough for a matrix product, and copies of few channels fit a second-level cache

# Fewer make small products, at which blocks lose: on two cores of an EPYC (jax 0.10.2) 32 ms against 17 with 32
# channels at 4 x 160 x 160; with 64 channels there they win, 32 ms against 74.
MIN_BLOCKED_CHANNELS = 48

# Winograd's transforms cost more than they save with fewer channels or on larger maps. On two cores of an EPYC (jax
# 0.10.2), in one run by turns, a step of the U-Net of 64 features (4 x 160 x 160) took 821 ms and 929 MiB, 826 and 1051
# with 64 x 64 channels too, 832 and 1032 with maps of 2**25 elements, 849 and 1114 with both.
MIN_WINOGRAD_PRODUCTS = 64 * 128
MAX_WINOGRAD_ELEMENTS = 2**23  # of a map, 32 MiB in float32

MARGINS = {"same": 1, "valid": 0}


class Conv3x3(nn.Module):
    """A 3x3 convolution of stride 1: ``[b, h, w, c] -> [b, h', w', features]``.

    Attributes:
      features: channels of the output.
      padding: "same", where ``h', w' = h, w``, or "valid", where they are smaller by 2.
      use_bias: whether a bias is added.
      kernel_init: initialiser of the kernel, ``[3, 3, c, features]``.
      dtype: type of the computation; parameters are float32.
    """

    features: int
    padding: str
    use_bias: bool
    kernel_init: Initializer
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", self.kernel_init, (3, 3, x.shape[-1], self.features), jnp.float32)
        y = conv_3x3(x.astype(self.dtype), kernel.astype(self.dtype), MARGINS[self.padding])
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            y = y + bias.astype(self.dtype)[None, None, None]
        return y


def _convolve(x: jax.Array, kernel: jax.Array, margin: int) -> jax.Array:
    dimensions = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), [(margin, margin)] * 2, dimension_numbers=dimensions)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv_3x3(x: jax.Array, kernel: jax.Array, margin: int) -> jax.Array:
    """Convolves ``[b, h, w, c]``, with ``margin`` zeros around it, with a kernel ``[3, 3, c, f]``."""
    direct = partial(_convolve, margin=margin)
    if _suits_winograd(x, kernel):
        return lax.platform_dependent(x, kernel, cpu=partial(winograd.convolve, margin=margin), default=direct)
    return direct(x, kernel)


def _forward(x, kernel, margin):
    return conv_3x3(x, kernel, margin), (x, kernel)


def _backward(margin, saved, dy):
    x, kernel = saved
    plain = partial(_plain_gradients, margin=margin)
    if _suits_winograd(x, kernel):
        return lax.platform_dependent(x, kernel, dy, cpu=partial(_winograd_gradients, margin=margin), default=plain)
    if _suits_blocks(kernel):
        return lax.platform_dependent(x, kernel, dy, cpu=partial(_blocked_gradients, margin=margin), default=plain)
    return plain(x, kernel, dy)


conv_3x3.defvjp(_forward, _backward)


def _suits_blocks(kernel):
    # Blocks and tiles cut through batch and rows: arrays divided over devices would be gathered.
    return jax.device_count() == 1 and min(kernel.shape[2:]) >= MIN_BLOCKED_CHANNELS


def _suits_winograd(x, kernel):
    c, f = kernel.shape[2:]
    elements = math.prod(x.shape[:3]) * max(c, f)
    many_channels = _suits_blocks(kernel) and c * f >= MIN_WINOGRAD_PRODUCTS
    # The sums would lose bits that bfloat16 has not to spare.
    return many_channels and elements <= MAX_WINOGRAD_ELEMENTS and x.dtype != jnp.bfloat16


def _plain_gradients(x, kernel, dy, margin):
    return jax.vjp(partial(_convolve, margin=margin), x, kernel)[1](dy)


def _blocked_gradients(x, kernel, dy, margin):
    (dx,) = jax.vjp(lambda x: _convolve(x, kernel, margin), x)[1](dy)
    return dx, blocked_gradient(x, dy, margin)


def _winograd_gradients(x, kernel, dy, margin):
    return winograd.input_gradient(dy, kernel, margin), winograd.kernel_gradient(x, dy, margin)


def blocked_gradient(x: jax.Array, dy: jax.Array, margin: int) -> jax.Array:
    """The gradient ``[3, 3, c, f]`` of a 3x3 kernel, from the input and the gradient of the output, in blocks.

    ``dk[r, s] = sum over i, j of x[i, j + s - margin] dy[i - r + margin, j]^T``, rows and columns beyond the border
    being 0. With three copies of x side by side, shifted by columns, and three of dy, shifted by rows, all nine are one
    matrix product, ``[3 c, pixels] @ [pixels, 3 f]``.
    """
    h, c = x.shape[1], x.shape[3]
    b, _, w, f = dy.shape
    x = jnp.pad(x, ((0, 0), (0, 0), (margin, margin), (0, 0)))
    dy = jnp.pad(dy, ((0, 0), (2 - margin, 2 - margin), (0, 0), (0, 0)))
    images, rows = _block(b, h, w)
    blocks = h // rows

    def add_block(total, i):
        start = (i // blocks * images, i % blocks * rows, 0, 0)
        x_block = lax.dynamic_slice(x, start, (images, rows, w + 2, c))
        dy_block = lax.dynamic_slice(dy, start, (images, rows + 2, w, f))
        by_columns = jnp.concatenate([x_block[:, :, s : s + w] for s in range(3)], axis=-1)
        by_rows = jnp.concatenate([dy_block[:, 2 - r : 2 - r + rows] for r in range(3)], axis=-1)
        product = jnp.einsum("bhwf,bhwc->fc", by_rows, by_columns, preferred_element_type=jnp.float32)
        return total + product, None

    total, _ = lax.scan(add_block, jnp.zeros((3 * f, 3 * c), jnp.float32), jnp.arange(b // images * blocks))
    return total.reshape(3, f, 3, c).transpose(0, 2, 3, 1).astype(x.dtype)


def _block(images: int, height: int, width: int) -> tuple[int, int]:
    """Images and rows of a block of at most ``BLOCK_PIXELS``, or one row: several images only if they are whole."""
    rows = _largest_divisor(height, BLOCK_PIXELS // width)
    return (_largest_divisor(images, BLOCK_PIXELS // (height * width)) if rows == height else 1), rows


def _largest_divisor(number: int, most: int) -> int:
    """The largest divisor that is no more than ``most``; at least 1."""
    return next(divisor for divisor in range(max(1, min(number, most)), 0, -1) if number % divisor == 0)

"""Gradients of convolutions from matrix products and plain convolutions, which are fast on a CPU.

``convolution.py`` chooses between these, Winograd's algorithm and XLA's own gradients.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

BLOCK_PIXELS = 400  # long enough for a matrix product; copies of few channels fit a second-level cache
MANY_CHANNELS_BLOCK_PIXELS = 1600  # fewer sums of large gradients


def kernel_gradient_3x3(x: jax.Array, dy: jax.Array, padding: int) -> jax.Array:
    """Returns the gradient ``[3, 3, c, f]`` of a 3x3 kernel of stride 1, computed in blocks of rows or images.

    ``dk[r, s] = sum over i, j of x[i, j + s - padding] dy[i - r + padding, j]^T``. Rows and columns beyond the border
    are 0. Three copies of x, shifted by columns, and three of dy, shifted by rows, make all nine one matrix
    product ``[3 c, pixels] @ [pixels, 3 f]``.

    Args:
      x: ``[b, h, w, c]``, the input of the convolution.
      dy: ``[b, h', w', f]``, the gradient of its output.
      padding: rows and columns of zeros on each side of the map.
    """
    h, c = x.shape[1], x.shape[3]
    b, _, w, f = dy.shape
    x = jnp.pad(x, ((0, 0), (0, 0), (padding, padding), (0, 0)))
    dy = jnp.pad(dy, ((0, 0), (2 - padding, 2 - padding), (0, 0), (0, 0)))
    images, rows = _block(b, h, w, BLOCK_PIXELS)
    blocks = h // rows

    def product_of_block(i):
        start = (i // blocks * images, i % blocks * rows, 0, 0)
        x_block = lax.dynamic_slice(x, start, (images, rows, w + 2, c))
        dy_block = lax.dynamic_slice(dy, start, (images, rows + 2, w, f))
        by_columns = jnp.concatenate([x_block[:, :, s : s + w] for s in range(3)], axis=-1)
        by_rows = jnp.concatenate([dy_block[:, 2 - r : 2 - r + rows] for r in range(3)], axis=-1)
        return _sum_of_outer_products(by_rows, by_columns)

    total = _sum_over_blocks(product_of_block, b // images * blocks, (3 * f, 3 * c))
    return total.reshape(3, f, 3, c).transpose(0, 2, 3, 1).astype(x.dtype)


def kernel_gradient(
    x: jax.Array,
    dy: jax.Array,
    size: tuple[int, int],
    stride: int,
    padding: int,
    dilation: int,
    dy_left: bool = False,
) -> jax.Array:
    """Returns the gradient ``[r, s, c, f]`` of any kernel, computed in blocks of rows or images.

    In each block, the ``r s`` pixels of each window are next to each other, ``[pixels, r s c]``. The gradient is the
    product of their transpose with dy.

    Args:
      x: ``[b, h, w, c]``, the input of the convolution.
      dy: ``[b, h', w', f]``, the gradient of its output.
      size: rows and columns of the kernel.
      stride: distance of two neighboring windows, in pixels.
      padding: rows and columns of zeros on each side of the map.
      dilation: distance of two neighboring pixels in a window.
      dy_left: whether dy is the left factor of the product, for maps of few channels. XLA transposes the left one,
        which takes long for windows. The sum is transposed once at the end; XLA would swap the factors otherwise.
    """
    b, h, w, f = dy.shape
    c = x.shape[3]
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    images, rows = _block(b, h, w, BLOCK_PIXELS if dy_left else MANY_CHANNELS_BLOCK_PIXELS)
    blocks = h // rows

    def product_of_block(i):
        image, row = i // blocks * images, i % blocks * rows
        x_rows = stride * (rows - 1) + 1 + dilation * (size[0] - 1)
        x_block = lax.dynamic_slice(x, (image, stride * row, 0, 0), (images, x_rows, x.shape[2], c))
        dy_block = lax.dynamic_slice(dy, (image, row, 0, 0), (images, rows, w, f))
        x_windows = windows(x_block, size, stride, dilation)
        return _sum_of_outer_products(*((dy_block, x_windows) if dy_left else (x_windows, dy_block)))

    shape = (size[0] * size[1] * c, f)
    total = _sum_over_blocks(product_of_block, b // images * blocks, shape[::-1] if dy_left else shape)
    return (total.T if dy_left else total).reshape(*size, c, f).astype(x.dtype)


def windows(x: jax.Array, size: tuple[int, int], stride: int, dilation: int) -> jax.Array:
    """Returns ``[b, h', w', r s c]``: the pixels of each window of ``x [b, h, w, c]`` side by side."""
    down, right = (dilation * (length - 1) for length in size)  # from a window's first pixel to its last one
    parts = [
        x[:, top : x.shape[1] - down + top : stride, left : x.shape[2] - right + left : stride]
        for top in range(0, down + 1, dilation)
        for left in range(0, right + 1, dilation)
    ]
    return jnp.concatenate(parts, axis=-1)


def strided_input_gradient(
    dy: jax.Array, kernel: jax.Array, stride: int, padding: int, size: tuple[int, int]
) -> jax.Array:
    """Returns the gradient ``[b, *size, c]`` of the input of a strided convolution, one phase after another.

    A phase is every ``stride``-th row and column of the input. It meets every ``stride``-th row and column of the
    kernel. So its gradient is a convolution of dy with that part of the kernel, turned by 180 degrees.

    Args:
      dy: ``[b, h', w', f]``, the gradient of the output.
      kernel: ``[r, s, c, f]``.
      stride: distance of two neighboring windows, in pixels.
      padding: rows and columns of zeros on each side of the map.
      size: height and width of the input.
    """
    height, width = (-(-length // stride) for length in size)
    kernel = kernel.swapaxes(2, 3)
    phases = []
    for row in range(stride):
        rows, vertical = _phase(row, kernel.shape[0], stride, padding, dy.shape[1], height)
        for column in range(stride):
            columns, horizontal = _phase(column, kernel.shape[1], stride, padding, dy.shape[2], width)
            part = kernel[rows, columns][::-1, ::-1]
            phases.append(
                lax.conv_general_dilated(
                    dy, part, (1, 1), [vertical, horizontal], dimension_numbers=("NHWC", "HWIO", "NHWC")
                )
            )
    dx = jnp.stack(phases).reshape(stride, stride, -1, height, width, kernel.shape[3]).transpose(2, 3, 0, 4, 1, 5)
    return dx.reshape(-1, stride * height, stride * width, kernel.shape[3])[:, : size[0], : size[1]]


def _phase(
    phase: int, length: int, stride: int, padding: int, outputs: int, inputs: int
) -> tuple[slice, tuple[int, int]]:
    """Returns which part of a kernel's axis meets a phase, and the padding of dy along that axis.

    Input ``stride i + phase`` meets kernel position r at output ``i + (phase + padding - r) / stride``.
    """
    first = (phase + padding) % stride
    taps = range(first, length, stride)
    if not taps:
        raise ValueError(f"stride is {stride}; expected at most the kernel's length {length}. Use XLA's gradient.")
    nearest, farthest = ((phase + padding - r) // stride for r in (taps[-1], taps[0]))
    return slice(first, length, stride), (-nearest, inputs + farthest - outputs)


def spread(x: jax.Array, stride: int, size: tuple[int, int]) -> jax.Array:
    """Returns ``[b, *size, c]``, which holds ``x [b, h, w, c]`` at every ``stride``-th row and column, and zeros."""
    if stride == 1:
        return x
    rows, columns = (length - stride * (n - 1) - 1 for length, n in zip(size, x.shape[1:3], strict=True))
    zero = jnp.zeros((), x.dtype)
    return lax.pad(x, zero, [(0, 0, 0), (0, rows, stride - 1), (0, columns, stride - 1), (0, 0, 0)])


def _sum_of_outer_products(left: jax.Array, right: jax.Array) -> jax.Array:
    """Returns float32 ``[m, n]``, summed over the pixels of ``left [b, h, w, m]`` and ``right [b, h, w, n]``."""
    # XLA's CPU compiler multiplies bfloat16 in float32, too, but fails on some products with a transposed result.
    left, right = left.astype(jnp.float32), right.astype(jnp.float32)
    return jnp.einsum("bhwm,bhwn->mn", left, right)


def _sum_over_blocks(product: Callable[[jax.Array | int], jax.Array], count: int, shape: tuple[int, int]) -> jax.Array:
    """Sums the products of all blocks; a single one, such as the huge one of FCN-VGG's fc6, needs no sum."""
    if count == 1:
        return product(0)
    total, _ = lax.scan(lambda total, i: (total + product(i), None), jnp.zeros(shape, jnp.float32), jnp.arange(count))
    return total


def _block(images: int, height: int, width: int, pixels: int) -> tuple[int, int]:
    """Returns the images and rows of a block of at most ``pixels``, or one row; several images if whole."""
    rows = _largest_divisor(height, pixels // width)
    return (_largest_divisor(images, pixels // (height * width)) if rows == height else 1), rows


def _largest_divisor(number: int, most: int) -> int:
    """Returns the largest divisor that is at most ``most``, and at least 1."""
    return next(divisor for divisor in range(max(1, min(number, most)), 0, -1) if number % divisor == 0)

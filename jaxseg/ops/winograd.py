"""3x3 convolutions with fewer multiplications: Winograd's F(4x4, 3x3) (Lavin & Gray 2016, section 4.3).

A tile of 4x4 outputs comes from 6x6 inputs by 36 multiplications per pair of channels instead of 144. Inputs and
kernels are transformed, multiplied in 36 matrix products over the channels, and the products are transformed back. The
kernel's gradient is these steps transposed.

A row of a tile and a row of the kernel are polynomials of degree 3 and 2. The transforms are their values at 0, P, -P,
Q, -Q and infinity. The paper's P, Q = 1, 2 make some values far larger than others. Then the worst error in float32 is
3.9e-5 of outputs with standard deviation 1 from 128 channels; with the values below it is 1e-5. They are short in
binary, so the constants are exact.

The transforms of kernels and outputs are matrix products too. Those of inputs are sums of shifted maps, because a
product would need a copy of every 6x6 patch.

Large kernels are transformed in blocks of channels, one after another. That saves memory in two ways: a transform is 4
times as large as its kernel, and XLA would compute all transforms of a backward pass before the first one is needed.
It would also keep the transformed inputs of each forward pass for the kernel's gradient.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

TILE = 4
P, Q = 5 / 8, 3 / 2
_P2, _Q2 = P**2, Q**2

# Both are products of the two numbers of channels. benchmarks/README.md says what blocks save and cost.
MIN_BLOCKED_KERNEL = 2**16  # 2 blocks from here on
MAX_KERNEL_BLOCK = 2**18  # its transform takes 36 MiB in float32
# Blocks save little if the transforms of the map are much larger than those of the kernel. Then they cost up to 10 %.
MAX_TILES_PER_CHANNEL = 4


def _kernel_row() -> np.ndarray:
    """Returns the paper's G ``[6, 3]``: the kernel's polynomial at all points, divided for the interpolation."""
    points = np.array([[0, P, -P, Q, -Q]]).T
    at_0, at_p, at_q = _P2 * _Q2, 2 * _P2 * (_P2 - _Q2), 2 * _Q2 * (_Q2 - _P2)
    divisors = np.array([[at_0, at_p, at_p, at_q, at_q]]).T
    return np.vstack([points ** np.arange(3) / divisors, [0, 0, 1]])


def _output_row() -> np.ndarray:
    """Returns the paper's ``A^T [4, 6]``: a polynomial of degree 3 at all points, transposed."""
    points = np.array([[0, P, -P, Q, -Q]]).T
    return np.vstack([points ** np.arange(TILE), [0, 0, 0, 1]]).T


# Transforms of rows and columns at once.
KERNEL_TRANSFORM = np.kron(_kernel_row(), _kernel_row())  # [36, 9]
OUTPUT_TRANSFORM = np.kron(_output_row(), _output_row())  # [16, 36]


def convolve(x: jax.Array, kernel: jax.Array, padding: int, dilation: int = 1) -> jax.Array:
    """Convolves ``x [b, h, w, c]`` with a ``kernel [3, 3, c, f]`` of stride 1: ``[b, h', w', f]``.

    Args:
      x: the feature maps.
      kernel: the weights.
      padding: rows and columns of zeros on each side of the map; equal to the dilation where that is above 1.
      dilation: distance of two neighboring pixels in a window.
    """
    return _convolve(x, kernel, padding, dilation, 2)


def input_gradient(dy: jax.Array, kernel: jax.Array, padding: int, dilation: int = 1) -> jax.Array:
    """Returns the gradient ``[b, h, w, c]`` of the input: a convolution with the kernel turned by 180 degrees."""
    return _convolve(dy, kernel, padding if dilation > 1 else 2 - padding, dilation, 3)


def kernel_gradient(x: jax.Array, dy: jax.Array, padding: int, dilation: int = 1) -> jax.Array:
    """Returns the gradient ``[3, 3, c, f]`` of the kernel."""
    c, f = x.shape[3], dy.shape[3]
    transposed = jnp.asarray(KERNEL_TRANSFORM.T, x.dtype)
    gradient_tiles = _gradient_tiles(_to_phases(dy, dilation))

    def gradient_of_block(x):
        tiles = _input_tiles(_to_phases(x, dilation), padding if dilation == 1 else 1)
        products = jnp.einsum("ntc,ntf->ncf", tiles, gradient_tiles)
        return (transposed @ products.reshape(36, -1)).reshape(3, 3, -1, f)

    count = _block_count(c, f, gradient_tiles.shape[1], c)
    if count == 1:
        return gradient_of_block(x)

    def insert_block(i, gradient):
        return _insert(gradient, gradient_of_block(_block(x, i, count, 3)), i, 2)

    return lax.fori_loop(0, count, insert_block, _zeros_after(dy, (3, 3, c, f)))


def _convolve(x: jax.Array, kernel: jax.Array, padding: int, dilation: int, axis: int) -> jax.Array:
    """Convolves with a kernel as it is, or turned by 180 degrees.

    Args:
      x: the feature maps.
      kernel: ``[3, 3, c, f]``.
      padding: rows and columns of zeros on each side of the map; equal to the dilation where that is above 1.
      dilation: distance of two neighboring pixels in a window. A window never leaves its phase, see ``_to_phases``.
      axis: the axis of the kernel that meets the channels of x: 2, or 3 for the turned kernel.
    """
    c, f, shape = kernel.shape[axis], kernel.shape[5 - axis], x.shape
    size = _output_size(x, padding) if dilation == 1 else shape[1:3]
    x, padding = _to_phases(x, dilation), padding if dilation == 1 else 1

    def maps_of(products):
        return _from_phases(_output_maps(products, x, padding), dilation, size)

    tile_count = x.shape[0] * math.prod(_tile_counts(x, padding))
    if (count := _block_count(c, f, tile_count, max(c, f))) == 1:
        return maps_of(_input_tiles(x, padding) @ _transform_kernel(kernel, axis))
    if c > f:
        # The transforms of x are larger than the products, so the products are summed over blocks of its channels.
        def add_block(i, products):
            tiles = _input_tiles(_block(x, i, count, 3), padding)
            return products + tiles @ _transform_kernel(_block(kernel, i, count, axis), axis)

        return maps_of(lax.fori_loop(0, count, add_block, _zeros_after(x, (36, tile_count, f))))

    tiles = _input_tiles(x, padding)

    def insert_block(i, y):
        return _insert(y, maps_of(tiles @ _transform_kernel(_block(kernel, i, count, 5 - axis), axis)), i, 3)

    return lax.fori_loop(0, count, insert_block, _zeros_after(x, (shape[0], *size, f)))


def _block_count(c: int, f: int, tiles: int, channels: int) -> int:
    """Returns into how many blocks the given channels of a kernel ``[3, 3, c, f]`` are divided."""
    large = c * f >= MIN_BLOCKED_KERNEL and tiles <= MAX_TILES_PER_CHANNEL * min(c, f)
    count = max(2, c * f // MAX_KERNEL_BLOCK) if large else 1
    return 1 if channels % count else count


def _block(x: jax.Array, i: jax.Array, count: int, axis: int) -> jax.Array:
    """Returns the block with number i of an axis that is divided into ``count`` blocks."""
    size = x.shape[axis] // count
    return lax.dynamic_slice_in_dim(x, i * size, size, axis)


def _insert(x: jax.Array, block: jax.Array, i: jax.Array, axis: int) -> jax.Array:
    """Returns x with its block number i replaced."""
    return lax.dynamic_update_slice_in_dim(x, block, i * block.shape[axis], axis)


def _zeros_after(x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Returns zeros that XLA cannot compute before x: it would compute constants first and hold them until used."""
    return jnp.broadcast_to((x[0, 0, 0, 0] > jnp.inf).astype(x.dtype), shape)


def _to_phases(x: jax.Array, dilation: int) -> jax.Array:
    """Splits ``[b, h, w, c]`` by phase: ``[dilation**2 b, ceil(h / dilation), ceil(w / dilation), c]``, zero-padded."""
    if dilation == 1:
        return x
    b, h, w, c = x.shape
    x = jnp.pad(x, ((0, 0), (0, -h % dilation), (0, -w % dilation), (0, 0)))
    x = x.reshape(b, -(-h // dilation), dilation, -(-w // dilation), dilation, c).transpose(2, 4, 0, 1, 3, 5)
    return x.reshape(dilation * dilation * b, *x.shape[3:])


def _from_phases(y: jax.Array, dilation: int, size: tuple[int, int]) -> jax.Array:
    """Reverses ``_to_phases`` for a map of this height and width."""
    if dilation == 1:
        return y
    (h, w), f = size, y.shape[3]
    y = y.reshape(dilation, dilation, -1, *y.shape[1:]).transpose(2, 3, 0, 4, 1, 5)
    return y.reshape(-1, dilation * y.shape[1], dilation * y.shape[3], f)[:, :h, :w]


def _output_size(x: jax.Array, padding: int) -> tuple[int, int]:
    """Returns height and width of a convolution of ``x [b, h, w, c]``."""
    return x.shape[1] + 2 * padding - 2, x.shape[2] + 2 * padding - 2


def _tile_counts(x: jax.Array, padding: int) -> tuple[int, int]:
    """Returns the number of rows and of columns of tiles that cover a convolution of ``x [b, h, w, c]``."""
    h, w = _output_size(x, padding)
    return -(-h // TILE), -(-w // TILE)


def _output_maps(products: jax.Array, x: jax.Array, padding: int) -> jax.Array:
    """Transforms products ``[36, tiles, f]`` back to a convolution of x, ``[b, h', w', f]``."""
    (h, w), (rows, columns), f = _output_size(x, padding), _tile_counts(x, padding), products.shape[2]
    outputs = jnp.asarray(OUTPUT_TRANSFORM, x.dtype) @ products.reshape(36, -1)
    y = outputs.reshape(TILE, TILE, x.shape[0], rows, columns, f).transpose(2, 3, 0, 4, 1, 5)
    return y.reshape(x.shape[0], TILE * rows, TILE * columns, f)[:, :h, :w]


def _transform_kernel(kernel: jax.Array, axis: int) -> jax.Array:
    """Transforms a kernel ``[3, 3, c, f]``: ``[36, c, f]``, or turned ``[36, f, c]`` if the axis is 3."""
    _, _, c, f = kernel.shape
    transform = KERNEL_TRANSFORM if axis == 2 else KERNEL_TRANSFORM[:, ::-1]
    kernels = (jnp.asarray(transform, kernel.dtype) @ kernel.reshape(9, c * f)).reshape(36, c, f)
    return kernels if axis == 2 else kernels.swapaxes(1, 2)


def _input_tiles(x: jax.Array, padding: int) -> jax.Array:
    """Transforms all tiles of ``[b, h, w, c]``: ``[36, tiles, c]``."""
    (h, w), c = _output_size(x, padding), x.shape[3]
    x = jnp.pad(x, ((0, 0), (padding, padding + -h % TILE), (padding, padding + -w % TILE), (0, 0)))
    rows = _inputs([x[:, p : p + h + -h % TILE : TILE] for p in range(6)])
    entries = [entry for row in rows for entry in _inputs([row[:, :, q : q + w + -w % TILE : TILE] for q in range(6)])]
    return jnp.stack([entry.reshape(-1, c) for entry in entries])


def _gradient_tiles(dy: jax.Array) -> jax.Array:
    """Transforms all tiles of an output's gradient ``[b, h, w, f]``: ``[36, tiles, f]``."""
    b, h, w, f = dy.shape
    dy = jnp.pad(dy, ((0, 0), (0, -h % TILE), (0, -w % TILE), (0, 0)))
    tiles = dy.reshape(b, -(-h // TILE), TILE, -(-w // TILE), TILE, f).transpose(2, 4, 0, 1, 3, 5)
    return (jnp.asarray(OUTPUT_TRANSFORM.T, dy.dtype) @ tiles.reshape(TILE**2, -1)).reshape(36, -1, f)


def _inputs(d):
    """Computes the paper's ``B^T d`` along one axis: the values of six inputs at 0, P, -P, Q, -Q and infinity."""
    p_even, p_odd = d[4] - _Q2 * d[2], P * d[3] - P * _Q2 * d[1]
    q_even, q_odd = d[4] - _P2 * d[2], Q * d[3] - Q * _P2 * d[1]
    zero = d[4] - (_P2 + _Q2) * d[2] + _P2 * _Q2 * d[0]
    infinity = d[5] - (_P2 + _Q2) * d[3] + _P2 * _Q2 * d[1]
    return zero, p_even + p_odd, p_even - p_odd, q_even + q_odd, q_even - q_odd, infinity

"""3x3 convolutions with fewer multiplications: Winograd's F(4x4, 3x3) (Lavin & Gray 2016, section 4.3).

Sixteen outputs, a tile of 4x4, come from 6x6 inputs by 36 multiplications a pair of channels instead of 144. Inputs and
kernels are transformed, multiplied in 36 matrix products over the channels, and the products are transformed back. The
kernel's gradient is these steps transposed.

A row of a tile and a row of the kernel are polynomials of degree 3 and 2, and the transforms are their values at 0, P,
-P, Q, -Q and infinity. The paper's P, Q = 1, 2 make some values far larger than others, and float32 loses four times
as much at worst as with these (3.9e-5 against 1e-5 of outputs with standard deviation 1, from 128 channels); they are
short in binary, so that the constants are exact.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

TILE = 4
P, Q = 5 / 8, 3 / 2
_P2, _Q2, _P3, _Q3 = P**2, Q**2, P**3, Q**3


def _row_transform() -> np.ndarray:
    """The paper's G, ``[6, 3]``: the kernel's polynomial at all points, over what interpolation divides by."""
    at_0, at_p, at_q = _P2 * _Q2, 2 * _P2 * (_P2 - _Q2), 2 * _Q2 * (_Q2 - _P2)
    points, divisors = [0, P, -P, Q, -Q], [at_0, at_p, at_p, at_q, at_q]
    values = [np.array([1, point, point**2]) / divisor for point, divisor in zip(points, divisors, strict=True)]
    return np.array([*values, [0, 0, 1]])


KERNEL_TRANSFORM = np.kron(_row_transform(), _row_transform())  # [36, 9], of rows and columns at once


def convolve(x: jax.Array, kernel: jax.Array, margin: int) -> jax.Array:
    """Convolves ``[b, h, w, c]``, with ``margin`` zeros around it, with ``[3, 3, c, f]``: ``[b, h', w', f]``."""
    kernels = _transform_kernel(kernel, KERNEL_TRANSFORM)
    return _convolve(x, lambda tiles, i: tiles @ kernels[i], margin)


def input_gradient(dy: jax.Array, kernel: jax.Array, margin: int) -> jax.Array:
    """The gradient ``[b, h, w, c]`` of the input: a convolution with the kernel turned by 180 degrees."""
    kernels = _transform_kernel(kernel, KERNEL_TRANSFORM[:, ::-1])
    return _convolve(dy, lambda tiles, i: tiles @ kernels[i].T, 2 - margin)


def kernel_gradient(x: jax.Array, dy: jax.Array, margin: int) -> jax.Array:
    """The gradient ``[3, 3, c, f]`` of the kernel."""
    (_, h, w, f), c = dy.shape, x.shape[3]
    x = jnp.pad(x, ((0, 0), (margin, margin + -h % TILE), (margin, margin + -w % TILE), (0, 0)))
    dy = jnp.pad(dy, ((0, 0), (0, -h % TILE), (0, -w % TILE), (0, 0)))
    pairs = zip(_input_tiles(x), _gradient_tiles(dy), strict=True)
    # Eigen's products are quicker with the longer side as columns.
    products = [tiles.T @ dy_tiles if f >= c else (dy_tiles.T @ tiles).T for tiles, dy_tiles in pairs]
    transposed = jnp.asarray(KERNEL_TRANSFORM.T, x.dtype)
    return (transposed @ jnp.stack(products).reshape(36, c * f)).reshape(3, 3, c, f)


def _convolve(x: jax.Array, multiply: Callable[[jax.Array, int], jax.Array], margin: int) -> jax.Array:
    """The convolution, of which ``multiply(tiles, i)`` is the product ``[b i j, f]`` with the i-th kernel matrix."""
    b, h, w = x.shape[0], x.shape[1] + 2 * margin - 2, x.shape[2] + 2 * margin - 2
    x = jnp.pad(x, ((0, 0), (margin, margin + -h % TILE), (margin, margin + -w % TILE), (0, 0)))
    products = [multiply(tiles, i) for i, tiles in enumerate(_input_tiles(x))]
    rows = [_outputs(products[6 * i : 6 * i + 6]) for i in range(6)]
    columns = [_outputs([row[q] for row in rows]) for q in range(TILE)]
    tiles = [[columns[q][p].reshape(b, -(-h // TILE), -(-w // TILE), -1) for q in range(TILE)] for p in range(TILE)]
    y = jnp.stack([jnp.stack(row, axis=3) for row in tiles], axis=2)  # [b, h / 4, 4, w / 4, 4, f]
    return y.reshape(b, h + -h % TILE, w + -w % TILE, -1)[:, :h, :w]


def _transform_kernel(kernel: jax.Array, transform: np.ndarray) -> jax.Array:
    """``[3, 3, c, f]`` as 36 matrices ``[36, c, f]``."""
    _, _, c, f = kernel.shape
    return (jnp.asarray(transform, kernel.dtype) @ kernel.reshape(9, c * f)).reshape(36, c, f)


def _input_tiles(x: jax.Array) -> list[jax.Array]:
    """Of ``[b, 4 i + 2, 4 j + 2, c]``, the 36 entries of all tiles transformed, each ``[b i j, c]``."""
    h, w, c = x.shape[1] - 2, x.shape[2] - 2, x.shape[3]
    rows = _inputs([x[:, p : p + h - 3 : TILE] for p in range(6)])
    columns = [entry for row in rows for entry in _inputs([row[:, :, q : q + w - 3 : TILE] for q in range(6)])]
    return [entry.reshape(-1, c) for entry in columns]


def _gradient_tiles(dy: jax.Array) -> list[jax.Array]:
    """Of ``[b, 4 i, 4 j, f]``, the 36 entries of all tiles transformed, each ``[b i j, f]``."""
    rows = _spread([dy[:, p::TILE] for p in range(TILE)])
    columns = [entry for row in rows for entry in _spread([row[:, :, q::TILE] for q in range(TILE)])]
    return [entry.reshape(-1, dy.shape[3]) for entry in columns]


def _inputs(d):
    """The paper's ``B^T d``, along one axis: six inputs to their values at 0, P, -P, Q, -Q and infinity."""
    p_even, p_odd = d[4] - _Q2 * d[2], P * d[3] - P * _Q2 * d[1]
    q_even, q_odd = d[4] - _P2 * d[2], Q * d[3] - Q * _P2 * d[1]
    zero = d[4] - (_P2 + _Q2) * d[2] + _P2 * _Q2 * d[0]
    infinity = d[5] - (_P2 + _Q2) * d[3] + _P2 * _Q2 * d[1]
    return zero, p_even + p_odd, p_even - p_odd, q_even + q_odd, q_even - q_odd, infinity


def _outputs(m):
    """The paper's ``A^T m``, along one axis: six products to four outputs."""
    p_sum, p_difference, q_sum, q_difference = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    return (
        m[0] + p_sum + q_sum,
        P * p_difference + Q * q_difference,
        _P2 * p_sum + _Q2 * q_sum,
        _P3 * p_difference + _Q3 * q_difference + m[5],
    )


def _spread(y):
    """``A y``, the transpose of ``_outputs``."""
    p_even, p_odd = y[0] + _P2 * y[2], P * y[1] + _P3 * y[3]
    q_even, q_odd = y[0] + _Q2 * y[2], Q * y[1] + _Q3 * y[3]
    return y[0], p_even + p_odd, p_even - p_odd, q_even + q_odd, q_even - q_odd, y[3]

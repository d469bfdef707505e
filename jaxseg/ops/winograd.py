"""3x3 convolutions with fewer multiplications: Winograd's F(4x4, 3x3) (Lavin & Gray 2016, section 4.3).

Sixteen outputs, a tile of 4x4, come from 6x6 inputs by 36 multiplications a pair of channels instead of 144. Inputs and
kernels are transformed, multiplied in 36 matrix products over the channels, and the products are transformed back. The
kernel's gradient is these steps transposed.

A row of a tile and a row of the kernel are polynomials of degree 3 and 2, and the transforms are their values at 0, P,
-P, Q, -Q and infinity. The paper's P, Q = 1, 2 make some values far larger than others, and float32 loses four times
as much at worst as with these (3.9e-5 against 1e-5 of outputs with standard deviation 1, from 128 channels); they are
short in binary, so that the constants are exact.

The transforms of kernels and outputs are matrix products too; those of inputs are sums of shifted maps, for a product
would need a copy of every 6x6 patch.
"""

import jax
import jax.numpy as jnp
import numpy as np

TILE = 4
P, Q = 5 / 8, 3 / 2
_P2, _Q2 = P**2, Q**2


def _kernel_row() -> np.ndarray:
    """The paper's G, ``[6, 3]``: the kernel's polynomial at all points, over what interpolation divides by."""
    points = np.array([[0, P, -P, Q, -Q]]).T
    at_0, at_p, at_q = _P2 * _Q2, 2 * _P2 * (_P2 - _Q2), 2 * _Q2 * (_Q2 - _P2)
    divisors = np.array([[at_0, at_p, at_p, at_q, at_q]]).T
    return np.vstack([points ** np.arange(3) / divisors, [0, 0, 1]])


def _output_row() -> np.ndarray:
    """The paper's ``A^T``, ``[4, 6]``: a polynomial of degree 3 at all points, transposed."""
    points = np.array([[0, P, -P, Q, -Q]]).T
    return np.vstack([points ** np.arange(TILE), [0, 0, 0, 1]]).T


# Of rows and columns at once.
KERNEL_TRANSFORM = np.kron(_kernel_row(), _kernel_row())  # [36, 9]
OUTPUT_TRANSFORM = np.kron(_output_row(), _output_row())  # [16, 36]


def convolve(x: jax.Array, kernel: jax.Array, margin: int) -> jax.Array:
    """Convolves ``[b, h, w, c]``, with ``margin`` zeros around it, with ``[3, 3, c, f]``: ``[b, h', w', f]``."""
    return _convolve(x, _transform_kernel(kernel, KERNEL_TRANSFORM), margin)


def input_gradient(dy: jax.Array, kernel: jax.Array, margin: int) -> jax.Array:
    """The gradient ``[b, h, w, c]`` of the input: a convolution with the kernel turned by 180 degrees."""
    kernels = _transform_kernel(kernel, KERNEL_TRANSFORM[:, ::-1])
    return _convolve(dy, kernels.swapaxes(1, 2), 2 - margin)


def kernel_gradient(x: jax.Array, dy: jax.Array, margin: int) -> jax.Array:
    """The gradient ``[3, 3, c, f]`` of the kernel."""
    c, f = x.shape[3], dy.shape[3]
    products = jnp.einsum("ntc,ntf->ncf", _input_tiles(x, margin), _gradient_tiles(dy))
    transposed = jnp.asarray(KERNEL_TRANSFORM.T, x.dtype)
    return (transposed @ products.reshape(36, c * f)).reshape(3, 3, c, f)


def _convolve(x: jax.Array, kernels: jax.Array, margin: int) -> jax.Array:
    """The convolution with the matrices ``[36, c, f]`` that the kernel was transformed to."""
    b, h, w = x.shape[0], x.shape[1] + 2 * margin - 2, x.shape[2] + 2 * margin - 2
    products = _input_tiles(x, margin) @ kernels
    outputs = jnp.asarray(OUTPUT_TRANSFORM, x.dtype) @ products.reshape(36, -1)
    y = outputs.reshape(TILE, TILE, b, -(-h // TILE), -(-w // TILE), -1).transpose(2, 3, 0, 4, 1, 5)
    return y.reshape(b, h + -h % TILE, w + -w % TILE, -1)[:, :h, :w]


def _transform_kernel(kernel: jax.Array, transform: np.ndarray) -> jax.Array:
    """``[3, 3, c, f]`` as 36 matrices ``[36, c, f]``."""
    _, _, c, f = kernel.shape
    return (jnp.asarray(transform, kernel.dtype) @ kernel.reshape(9, c * f)).reshape(36, c, f)


def _input_tiles(x: jax.Array, margin: int) -> jax.Array:
    """The 36 entries of all tiles of ``[b, h, w, c]``, transformed: ``[36, tiles, c]``."""
    h, w, c = x.shape[1] + 2 * margin - 2, x.shape[2] + 2 * margin - 2, x.shape[3]
    x = jnp.pad(x, ((0, 0), (margin, margin + -h % TILE), (margin, margin + -w % TILE), (0, 0)))
    rows = _inputs([x[:, p : p + h + -h % TILE : TILE] for p in range(6)])
    entries = [entry for row in rows for entry in _inputs([row[:, :, q : q + w + -w % TILE : TILE] for q in range(6)])]
    return jnp.stack([entry.reshape(-1, c) for entry in entries])


def _gradient_tiles(dy: jax.Array) -> jax.Array:
    """The 36 entries of all tiles of an output's gradient ``[b, h, w, f]``, transformed: ``[36, tiles, f]``."""
    b, h, w, f = dy.shape
    dy = jnp.pad(dy, ((0, 0), (0, -h % TILE), (0, -w % TILE), (0, 0)))
    tiles = dy.reshape(b, -(-h // TILE), TILE, -(-w // TILE), TILE, f).transpose(2, 4, 0, 1, 3, 5)
    return (jnp.asarray(OUTPUT_TRANSFORM.T, dy.dtype) @ tiles.reshape(TILE**2, -1)).reshape(36, -1, f)


def _inputs(d):
    """The paper's ``B^T d``, along one axis: six inputs to their values at 0, P, -P, Q, -Q and infinity."""
    p_even, p_odd = d[4] - _Q2 * d[2], P * d[3] - P * _Q2 * d[1]
    q_even, q_odd = d[4] - _P2 * d[2], Q * d[3] - Q * _P2 * d[1]
    zero = d[4] - (_P2 + _Q2) * d[2] + _P2 * _Q2 * d[0]
    infinity = d[5] - (_P2 + _Q2) * d[3] + _P2 * _Q2 * d[1]
    return zero, p_even + p_odd, p_even - p_odd, q_even + q_odd, q_even - q_odd, infinity

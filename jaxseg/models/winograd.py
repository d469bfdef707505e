"""3x3 convolutions with fewer multiplications: Winograd's F(2x2, 3x3) (Lavin & Gray 2016, section 4.1).

Four outputs, a tile of 2x2, come from 4x4 inputs by 16 multiplications a pair of channels instead of 36. Inputs and
kernels are transformed, multiplied in 16 matrix products over the channels, and the products are transformed back; the
transforms add and halve only, so that float32 loses next to nothing. The kernel's gradient is these steps transposed.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

_ROW = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])  # the paper's G
KERNEL_TRANSFORM = np.kron(_ROW, _ROW)  # [16, 9], of rows and columns at once


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
    x = jnp.pad(x, ((0, 0), (margin, margin + h % 2), (margin, margin + w % 2), (0, 0)))
    dy = jnp.pad(dy, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)))
    pairs = zip(_input_tiles(x), _gradient_tiles(dy), strict=True)
    # Eigen's products are quicker with the longer side as columns.
    products = [tiles.T @ dy_tiles if f >= c else (dy_tiles.T @ tiles).T for tiles, dy_tiles in pairs]
    transposed = jnp.asarray(KERNEL_TRANSFORM.T, x.dtype)
    return (transposed @ jnp.stack(products).reshape(16, c * f)).reshape(3, 3, c, f)


def _convolve(x: jax.Array, multiply: Callable[[jax.Array, int], jax.Array], margin: int) -> jax.Array:
    """The convolution, of which ``multiply(tiles, i)`` is the product ``[b i j, f]`` with the i-th kernel matrix."""
    b, h, w = x.shape[0], x.shape[1] + 2 * margin - 2, x.shape[2] + 2 * margin - 2
    x = jnp.pad(x, ((0, 0), (margin, margin + h % 2), (margin, margin + w % 2), (0, 0)))
    products = [multiply(tiles, i) for i, tiles in enumerate(_input_tiles(x))]
    rows = [_outputs(products[4 * i : 4 * i + 4]) for i in range(4)]
    columns = [_outputs([row[q] for row in rows]) for q in range(2)]
    tiles = [[columns[q][p].reshape(b, -(-h // 2), -(-w // 2), -1) for q in range(2)] for p in range(2)]
    y = jnp.stack([jnp.stack(row, axis=3) for row in tiles], axis=2)  # [b, h / 2, 2, w / 2, 2, f]
    return y.reshape(b, h + h % 2, w + w % 2, -1)[:, :h, :w]


def _transform_kernel(kernel: jax.Array, transform: np.ndarray) -> jax.Array:
    """``[3, 3, c, f]`` as 16 matrices ``[16, c, f]``."""
    _, _, c, f = kernel.shape
    return (jnp.asarray(transform, kernel.dtype) @ kernel.reshape(9, c * f)).reshape(16, c, f)


def _input_tiles(x: jax.Array) -> list[jax.Array]:
    """Of ``[b, 2 i + 2, 2 j + 2, c]``, the 16 entries of all tiles transformed, each ``[b i j, c]``."""
    h, w, c = x.shape[1] - 2, x.shape[2] - 2, x.shape[3]
    rows = _inputs([x[:, p : p + h - 1 : 2] for p in range(4)])
    return [entry.reshape(-1, c) for row in rows for entry in _inputs([row[:, :, q : q + w - 1 : 2] for q in range(4)])]


def _gradient_tiles(dy: jax.Array) -> list[jax.Array]:
    """Of ``[b, 2 i, 2 j, f]``, the 16 entries of all tiles transformed, each ``[b i j, f]``."""
    rows = _spread([dy[:, p::2] for p in range(2)])
    columns = [entry for row in rows for entry in _spread([row[:, :, q::2] for q in range(2)])]
    return [entry.reshape(-1, dy.shape[3]) for entry in columns]


def _inputs(d):
    """The paper's ``B^T d``, along one axis."""
    return d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]


def _outputs(m):
    """The paper's ``A^T m``, along one axis."""
    return m[0] + m[1] + m[2], m[1] - m[2] - m[3]


def _spread(y):
    """``A y``, the transpose of ``_outputs``."""
    return y[0], y[0] + y[1], y[0] - y[1], -y[1]

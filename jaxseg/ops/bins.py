"""Bins of RoIAlign: how a box is divided along one axis, and the samples in each bin.

Rows and columns are independent and treated alike, so all functions handle one axis of ``size`` positions. Samples have
torchvision's positions bit for bit, so that they fall on the same side of a border.
"""

import jax
import jax.numpy as jnp

from jaxseg.ops import bilinear, rounding

ADAPTIVE = 0  # as sampling_ratio: one sample per position, ceil(side / bins) samples per bin


def axis_matrix(
    start: jax.Array,
    end: jax.Array,
    scale: float,
    bins: int,
    size: int,
    extent: jax.Array | int,
    sampling_ratio: int,
    aligned: bool,
) -> jax.Array:
    """Returns RoIAlign along one axis as a matrix, ``[p, bins, size]``.

    Args:
      start: ``[p]``, the left (or upper) edges of the boxes.
      end: ``[p]``, their right (or lower) edges.
      scale: positions of the map per pixel.
      bins: number of bins per box.
      size: number of positions of the map.
      extent: number of valid positions; the border is behind the last of them.
      sampling_ratio: samples per bin, or ``ADAPTIVE``.
      aligned: see ``roi_align``.

    Example:
      >>> from functools import partial
      >>> matrix = jax.jit(partial(axis_matrix, scale=1.0, bins=2, size=3, extent=3, sampling_ratio=1, aligned=False))
      >>> matrix(jnp.array([0.0]), jnp.array([2.0]))[0].tolist()  # one sample at 0.5 and one at 1.5
      [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]
    """
    bin_starts, length = divide(start, end, scale, bins, aligned)
    if sampling_ratio == ADAPTIVE:
        return _adaptive_matrix(bin_starts, length, size, extent)
    return _fixed_matrix(bin_starts, length, size, extent, sampling_ratio)


def divide(
    start: jax.Array, end: jax.Array, scale: jax.Array | float, count: int, aligned: bool
) -> tuple[jax.Array, jax.Array]:
    """Returns the position where each bin of a box begins along one axis, ``[p, count]``, and its length, ``[p]``."""
    offset = 0.5 if aligned else 0.0
    start = rounding.product(start, scale) - offset
    side = rounding.product(end, scale) - offset - start
    if not aligned:
        side = jnp.maximum(side, 1.0)
    length = rounding.quotient(side, float(count))
    numbers = jnp.arange(count, dtype=jnp.float32)
    return start[:, None] + rounding.product(numbers[None, :], length[:, None]), length


def _sample(bin_starts: jax.Array, length: jax.Array, number: jax.Array, count: jax.Array | float) -> jax.Array:
    """Returns the position of a sample by its number in 0..count-1; all arguments broadcast together."""
    return bin_starts + rounding.quotient(rounding.product(number + 0.5, length), count)


def inside(positions: jax.Array, extent: jax.Array | int) -> jax.Array:
    """Returns True where a sample counts: in the map and up to one position outside it."""
    return (positions >= -1) & (positions <= extent)


def fixed_samples(bin_starts: jax.Array, length: jax.Array, ratio: int) -> jax.Array:
    """Returns the positions of ``ratio`` samples per bin, ``[p, bins, ratio]``."""
    numbers = jnp.arange(ratio, dtype=jnp.float32)[None, None, :]
    return _sample(bin_starts[..., None], length[:, None, None], numbers, float(ratio))


def _fixed_matrix(
    bin_starts: jax.Array, length: jax.Array, size: int, extent: jax.Array | int, ratio: int
) -> jax.Array:
    """Returns the weight of each position of the map in each bin, ``[p, bins, size]``."""
    positions = fixed_samples(bin_starts, length, ratio)
    return jnp.where(inside(positions, extent)[..., None], bilinear.weights(positions, size, extent), 0).mean(axis=2)


def _adaptive_matrix(bin_starts: jax.Array, length: jax.Array, size: int, extent: jax.Array | int) -> jax.Array:
    """Returns the weights with ceil(length) samples per bin, a number that differs from box to box.

    Neighboring samples are more than half a position apart, so at most four of them have a weight at one position. Six
    candidates, beginning one before the first of these, include them under any rounding.
    """
    count = jnp.maximum(jnp.ceil(length), 0)[:, None, None]
    length = length[:, None, None]
    starts = bin_starts[:, :, None]
    columns = jax.lax.broadcasted_iota(jnp.float32, (1, 1, size), 2)
    spacing = length / jnp.maximum(count, 1)
    first = jnp.floor((columns - 1 - starts) / jnp.where(spacing > 0, spacing, 1)) - 1
    first = jnp.clip(first, 0, jnp.maximum(count - 1, 0))

    total = jnp.zeros((*bin_starts.shape, size), jnp.float32)
    for i in range(6):
        positions = _sample(starts, length, first + i, jnp.maximum(count, 1))
        weight = jnp.maximum(0, 1 - jnp.abs(jnp.clip(positions, 0, extent - 1) - columns))
        total += jnp.where((first + i < count) & inside(positions, extent), weight, 0)
    return total / jnp.maximum(count, 1)

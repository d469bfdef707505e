"""The bins into which RoIAlign divides a box along one axis, and the samples in each bin.

Rows and columns are alike and independent, so everything here is about one axis of ``size`` positions. The samples lie
where torchvision's do, bit for bit, so that they fall on the same side of a border.
"""

import jax
import jax.numpy as jnp

from jaxseg.ops import bilinear, rounding

ADAPTIVE = 0  # as sampling_ratio: one sample a position, ceil(side / bins) of them a bin


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
      start: ``[p]``, the boxes' left (or upper) edges.
      end: ``[p]``, their right (or lower) ones.
      scale: positions of the map a pixel.
      bins: how many a box.
      size: positions of the map.
      extent: how many of them count; the border is there.
      sampling_ratio: samples a bin, or ``ADAPTIVE``.
      aligned: see ``roi_align``.
    """
    bin_starts, length = divide(start, end, scale, bins, aligned)
    if sampling_ratio == ADAPTIVE:
        return _adaptive_matrix(bin_starts, length, size, extent)
    return _fixed_matrix(bin_starts, length, size, extent, sampling_ratio)


def divide(
    start: jax.Array, end: jax.Array, scale: jax.Array | float, count: int, aligned: bool
) -> tuple[jax.Array, jax.Array]:
    """Returns where the bins of each box begin along one axis, ``[p, count]``, and their length, ``[p]``."""
    offset = 0.5 if aligned else 0.0
    start = rounding.product(start, scale) - offset
    side = rounding.product(end, scale) - offset - start
    if not aligned:
        side = jnp.maximum(side, 1.0)
    length = rounding.quotient(side, float(count))
    numbers = jnp.arange(count, dtype=jnp.float32)
    return start[:, None] + rounding.product(numbers[None, :], length[:, None]), length


def _sample(bin_starts: jax.Array, length: jax.Array, number: jax.Array, count: jax.Array | float) -> jax.Array:
    """Returns the position of a sample by its number, of count, in bins of this length; all broadcast together."""
    return bin_starts + rounding.quotient(rounding.product(number + 0.5, length), count)


def inside(positions: jax.Array, extent: jax.Array | int) -> jax.Array:
    """Returns True where a sample counts: up to one position outside the map, where it takes the border's value."""
    return (positions >= -1) & (positions <= extent)


def fixed_samples(bin_starts: jax.Array, length: jax.Array, ratio: int) -> jax.Array:
    """Returns positions ``[p, bins, ratio]``."""
    numbers = jnp.arange(ratio, dtype=jnp.float32)[None, None, :]
    return _sample(bin_starts[..., None], length[:, None, None], numbers, float(ratio))


def _fixed_matrix(
    bin_starts: jax.Array, length: jax.Array, size: int, extent: jax.Array | int, ratio: int
) -> jax.Array:
    """Returns the weight of each position of the map in each bin, ``[p, bins, size]``."""
    positions = fixed_samples(bin_starts, length, ratio)
    return jnp.where(inside(positions, extent)[..., None], bilinear.weights(positions, size, extent), 0).mean(axis=2)


def _adaptive_matrix(bin_starts: jax.Array, length: jax.Array, size: int, extent: jax.Array | int) -> jax.Array:
    """Returns the weights with ceil(length) samples per bin, which no static shape could hold.

    Of several samples, neighbors lie more than half a position apart, so that at most four weigh at any one position.
    Six candidates from the one before the first of these cover them with any rounding.
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

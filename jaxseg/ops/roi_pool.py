"""RoIPool: the maximum of each bin, with boxes and bins rounded to whole positions (Fast R-CNN, Girshick 2015).

Detectors use RoIAlign. This operation is for comparisons of the two.
"""

import chex
import jax
import jax.numpy as jnp

from jaxseg.ops import rounding


def roi_pool(
    features: jax.Array, boxes: jax.Array, *, output_size: tuple[int, int] = (7, 7), scale: float = 1.0
) -> jax.Array:
    """Pools boxes from one map, as ``torchvision.ops.roi_pool`` does. Boxes, then bins, are rounded to whole positions.

    Bins overlap by the positions that they share. A box covers at least one position, and a bin outside the map is 0.

    Args:
      features: ``[h, w, c]``.
      boxes: ``[p, 4]`` in pixels of the image.
      output_size: rows and columns of bins.
      scale: positions of the map per pixel of the image, such as 1 / stride.

    Returns:
      ``[p, rows, columns, c]``.

    Example:
      >>> import numpy as np
      >>> features = np.tile(np.arange(4.0)[None, :, None], (4, 1, 1))  # each row is 0, 1, 2, 3
      >>> pool = jax.jit(roi_pool, static_argnames="output_size")
      >>> np.asarray(pool(features, jnp.array([[0.0, 0.0, 3.0, 3.0]]), output_size=(1, 2)))[0, :, :, 0].tolist()
      [[1.0, 3.0]]
    """
    chex.assert_rank([features, boxes], [3, 2])
    height, width, _ = features.shape
    in_rows = _members(boxes[:, 1], boxes[:, 3], scale, output_size[0], height)
    in_columns = _members(boxes[:, 0], boxes[:, 2], scale, output_size[1], width)

    def pool_box(members):
        rows, columns = members
        lowest = -jnp.inf
        lines = jnp.where(rows[:, :, None, None], features[None], lowest).max(axis=1)  # [rows, w, c]
        pooled = jnp.where(columns[None, :, :, None], lines[:, None], lowest).max(axis=2)
        is_empty = ~(rows.any(axis=1)[:, None] & columns.any(axis=1)[None, :])
        return jnp.where(is_empty[..., None], 0, pooled)

    return jax.lax.map(pool_box, (in_rows, in_columns))


def quantized_bins(start: jax.Array, end: jax.Array, scale: float, bins: int) -> tuple[jax.Array, jax.Array]:
    """Returns the first position of each bin and the one after its last, ``[p, bins]``, for edges ``[p]`` in pixels.

    Example:
      >>> starts, ends = jax.jit(quantized_bins, static_argnums=3)(jnp.array([0.0]), jnp.array([4.0]), 1.0, 2)
      >>> starts.tolist(), ends.tolist()  # five positions in two bins, which share the third
      ([[0.0, 2.0]], [[3.0, 5.0]])
    """
    first, last = (_round_half_away(rounding.product(edge, scale)) for edge in (start, end))
    length = rounding.quotient(jnp.maximum(last - first + 1, 1), float(bins))[:, None]
    numbers = jnp.arange(bins, dtype=jnp.float32)[None, :]
    starts = jnp.floor(numbers * length) + first[:, None]
    ends = jnp.ceil((numbers + 1) * length) + first[:, None]
    return starts, ends


def _members(start: jax.Array, end: jax.Array, scale: float, bins: int, size: int) -> jax.Array:
    """Returns True ``[p, bins, size]`` where a position belongs to a bin."""
    starts, ends = quantized_bins(start, end, scale, bins)
    positions = jnp.arange(size, dtype=jnp.float32)[None, None, :]
    return (positions >= starts[..., None]) & (positions < ends[..., None])


def _round_half_away(x: jax.Array) -> jax.Array:
    """Rounds halves away from zero, as round() of C does; jnp.round would round them to even numbers."""
    return jnp.sign(x) * jnp.floor(jnp.abs(x) + 0.5)

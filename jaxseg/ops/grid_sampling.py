"""Sampling of an image and its label map on the grid of positions of a crop, which may be rotated.

Images are sampled by linear interpolation, label maps at the nearest pixel.
"""

import jax
import jax.numpy as jnp

from jaxseg.ops.images import to_uint8
from jaxseg.types import IGNORE

EXACT = jax.lax.Precision.HIGHEST
Color = tuple[float, float, float]


def sample_by_gathers(
    image: jax.Array, label: jax.Array, rows: jax.Array, columns: jax.Array, padded: jax.Array, *, fill: Color
) -> tuple[jax.Array, jax.Array]:
    """Samples an image and its label map at every pair of a row and a column.

    Args:
      image: uint8 ``[h', w', 3]``.
      label: uint8 ``[h', w']``.
      rows: float32 ``[h]``, positions; pixel centers have whole numbers.
      columns: float32 ``[w]``.
      padded: whether ``fill`` and ``IGNORE`` surround the image; otherwise its edges are repeated.
      fill: a color, 0..255.

    Returns:
      The image by linear interpolation, uint8 ``[h, w, 3]``, and the label map of nearest pixels, uint8 ``[h, w]``.

    Example:
      >>> from functools import partial
      >>> image = jnp.array([[[0, 0, 0], [100, 100, 100]]], jnp.uint8)
      >>> sample = jax.jit(partial(sample_by_gathers, fill=(0.0, 0.0, 0.0)))
      >>> columns = jnp.array([-0.6, 0.0, 0.25, 1.75])
      >>> sampled, label = sample(image, image[..., 0], jnp.zeros(1), columns, True)
      >>> sampled[..., 0].tolist(), label.tolist()
      ([[0, 0, 25, 25]], [[255, 0, 0, 255]])
    """
    size, color = label.shape, jnp.array(fill, jnp.float32)[None, None]
    # Pixels are relative to the color outside, which is then 0.
    (top, top_share), (bottom, bottom_share) = _neighbors(rows, size[0], padded)
    upper = (image[top].astype(jnp.float32) - color) * top_share[:, None, None]
    tall = upper + (image[bottom].astype(jnp.float32) - color) * bottom_share[:, None, None]
    (left, left_share), (right, right_share) = _neighbors(columns, size[1], padded)
    sampled = tall[:, left] * left_share[None, :, None] + tall[:, right] * right_share[None, :, None]
    (row, row_inside), (column, column_inside) = (
        _nearest(places, side, padded) for places, side in zip((rows, columns), size, strict=True)
    )
    inside = row_inside[:, None] & column_inside[None]
    return to_uint8(sampled + color), jnp.where(inside, label[row][:, column], jnp.uint8(IGNORE))


def sample_by_products(
    image: jax.Array, label: jax.Array, rows: jax.Array, columns: jax.Array, padded: jax.Array, *, fill: Color
) -> tuple[jax.Array, jax.Array]:
    """Samples an image and its label map by matrix products, see ``sample_by_gathers``.

    Example:
      >>> from functools import partial
      >>> image = jnp.array([[[0, 0, 0], [100, 100, 100]]], jnp.uint8)
      >>> sample = jax.jit(partial(sample_by_products, fill=(0.0, 0.0, 0.0)))
      >>> columns = jnp.array([-0.6, 0.0, 0.25, 1.75])
      >>> sampled, label = sample(image, image[..., 0], jnp.zeros(1), columns, True)
      >>> sampled[..., 0].tolist(), label.tolist()
      ([[0, 0, 25, 25]], [[255, 0, 0, 255]])
    """
    color = jnp.array(fill, jnp.float32)[None, None]
    sides = tuple(zip((rows, columns), label.shape, strict=True))
    by_row, by_column = (_spread(_neighbors(places, side, padded), side) for places, side in sides)
    narrow = jnp.einsum("xj,ijc->ixc", by_column, image.astype(jnp.float32) - color, precision=EXACT)
    sampled = jnp.einsum("yi,ixc->yxc", by_row, narrow, precision=EXACT)
    # Whole numbers up to 255 are exact in any precision of a product, and each row has one entry.
    by_row, by_column = (_spread((_nearest(places, side, padded),), side) for places, side in sides)
    found = by_row @ ((label.astype(jnp.float32) - IGNORE) @ by_column.T) + IGNORE
    return to_uint8(sampled + color), found.astype(jnp.uint8)


def sample_rotated(
    image: jax.Array,
    label: jax.Array,
    rows: jax.Array,
    columns: jax.Array,
    padded: jax.Array,
    shift_y: jax.Array,
    shift_x: jax.Array,
    *,
    fill: Color,
) -> tuple[jax.Array, jax.Array]:
    """Samples an image and its label map at positions of a rotated grid, see ``sample_by_gathers``.

    Args:
      image: uint8 ``[h', w', 3]``.
      label: uint8 ``[h', w']``.
      rows: float32 ``[h]``.
      columns: float32 ``[w]``.
      padded: whether ``fill`` and ``IGNORE`` surround the image; otherwise its edges are repeated.
      shift_y: float32 ``[w]``, added to ``rows`` in each column.
      shift_x: float32 ``[h]``, added to ``columns`` in each row.
      fill: a color, 0..255.

    Returns:
      The image, uint8 ``[h, w, 3]``, and the label map, uint8 ``[h, w]``.

    Example:
      >>> from functools import partial
      >>> image = jnp.array([[[0, 0, 0], [100, 100, 100]]], jnp.uint8)
      >>> sample = jax.jit(partial(sample_rotated, fill=(0.0, 0.0, 0.0)))
      >>> columns, shift_x = jnp.zeros(1), jnp.array([0.25, 1.0])
      >>> sampled, label = sample(image, image[..., 0], jnp.zeros(2), columns, True, jnp.zeros(1), shift_x)
      >>> sampled[..., 0].tolist(), label.tolist()
      ([[25], [100]], [[0], [100]])
    """
    (height, width), color = label.shape, jnp.array(fill, jnp.float32)[None, None]
    y, x = rows[:, None] + shift_y[None], columns[None] + shift_x[:, None]
    sampled = sum(
        (image[row, column].astype(jnp.float32) - color) * (row_share * column_share)[:, :, None]
        for row, row_share in _neighbors(y, height, padded)
        for column, column_share in _neighbors(x, width, padded)
    )
    (row, row_inside), (column, column_inside) = _nearest(y, height, padded), _nearest(x, width, padded)
    found = jnp.where(row_inside & column_inside, label[row, column], jnp.uint8(IGNORE))
    return to_uint8(sampled + color), found


Samples = tuple[jax.Array, jax.Array]  # The number of a pixel for each position, and its share.


def _neighbors(positions: jax.Array, count: int, padded: jax.Array) -> tuple[Samples, Samples]:
    """Returns the two of ``count`` pixels around each position, with their shares; pixels outside have 0."""
    seen = jnp.where(padded, positions, jnp.clip(positions, 0, count - 1))
    first = jnp.floor(seen)
    share = seen - first
    lower, upper = first.astype(jnp.int32), first.astype(jnp.int32) + 1
    return (
        (jnp.clip(lower, 0, count - 1), jnp.where((lower >= 0) & (lower < count), 1 - share, 0)),
        (jnp.clip(upper, 0, count - 1), jnp.where((upper >= 0) & (upper < count), share, 0)),
    )


def _nearest(positions: jax.Array, count: int, padded: jax.Array) -> Samples:
    """Returns the one of ``count`` pixels nearest to each position, and whether it shows there."""
    nearest = jnp.rint(positions).astype(jnp.int32)
    inside = (nearest >= 0) & (nearest < count) | ~jnp.asarray(padded)
    return jnp.clip(nearest, 0, count - 1), inside


def _spread(samples: tuple[Samples, ...], count: int) -> jax.Array:
    """Returns the matrix ``[n, count]`` that samples ``count`` pixels when multiplied by them."""
    numbers = jnp.arange(count)[None]
    return sum(jnp.where(number[:, None] == numbers, share[:, None], 0) for number, share in samples).astype(
        jnp.float32
    )

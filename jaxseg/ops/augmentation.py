"""Augmentation of a batch inside the compiled step, from numbers that the host has drawn.

Every augmentation is linear interpolation, then a linear map of colors, a blur and noise. Images do not depend on each
other, so each device augments its own and needs nothing from others.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from jaxseg.types import IGNORE, Batch, UnaugmentedBatch

EXACT = jax.lax.Precision.HIGHEST
Color = tuple[float, float, float]
DrawNoise = Callable[[jax.Array, tuple[int, ...]], jax.Array]


def augment_batch(batch: UnaugmentedBatch, *, fill: Color, draw_noise: DrawNoise | None = None) -> Batch:
    """Augments the images and label maps of a batch.

    TPUs multiply by matrices with two entries per row, since they gather slowly. Other devices gather. Rotated images
    are gathered everywhere.

    Args:
      batch: stored images ``[b, h', w', 3]``, their label maps, and what augmentation does to each.
      fill: color of what lies outside an image, 0..255. Its label is ``IGNORE``.
      draw_noise: ``(key, shape) -> noise``, the host's generator; only needed if the batch has noise.

    Returns:
      The batch that the host makes of the same random numbers: label maps are equal, images within rounding.

    Example:
      >>> image = jnp.array([[[[0, 0, 0], [9, 9, 9]]]], jnp.uint8)
      >>> rows, flipped = jnp.zeros((1, 1)), jnp.array([[1.0, 0.0]])
      >>> one = UnaugmentedBatch(image, image[..., 0], jnp.array([True]), rows, flipped, jnp.array([False]))
      >>> jax.jit(partial(augment_batch, fill=(0.0, 0.0, 0.0)))(one).label.tolist()
      [[[9, 0]]]
    """
    stored = batch.image, batch.label, batch.rows, batch.columns, batch.padded
    if batch.shift_y is None:
        gathers, products = (jax.vmap(partial(form, fill=fill)) for form in (sample_by_gathers, sample_by_products))
        image, label = jax.lax.platform_dependent(*stored, tpu=products, default=gathers)
    else:
        image, label = jax.vmap(partial(sample_rotated, fill=fill))(*stored, batch.shift_y, batch.shift_x)
    if batch.colors is not None:
        image = jax.vmap(change_colors)(image, batch.colors)
    if batch.blur is not None:
        image = jax.vmap(blur_image)(image, batch.blur)
    if batch.noise_key is not None:
        image = jax.vmap(partial(add_noise, draw_noise=draw_noise))(image, batch.noise_key, batch.noise_std)
    return Batch(image, label, batch.valid)


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
    return _to_uint8(sampled + color), jnp.where(inside, label[row][:, column], jnp.uint8(IGNORE))


def sample_by_products(
    image: jax.Array, label: jax.Array, rows: jax.Array, columns: jax.Array, padded: jax.Array, *, fill: Color
) -> tuple[jax.Array, jax.Array]:
    """Samples an image and its label map by matrix products, see ``sample_by_gathers``.

    Example:
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
    return _to_uint8(sampled + color), found.astype(jnp.uint8)


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
    return _to_uint8(sampled + color), found


def change_colors(image: jax.Array, colors: jax.Array) -> jax.Array:
    """Applies a linear map to the colors of an image.

    Args:
      image: uint8 ``[h, w, 3]``.
      colors: float32 ``[3, 6]``; its first three columns multiply the values of a pixel, the others the image's means.

    Returns:
      uint8 ``[h, w, 3]``.

    Example:
      >>> half = jnp.concatenate([jnp.eye(3) / 2, jnp.eye(3) / 2], axis=1)  # Moves each color to the mean.
      >>> jax.jit(change_colors)(jnp.array([[[0, 0, 0], [200, 100, 0]]], jnp.uint8), half).tolist()
      [[[50, 25, 0], [150, 75, 0]]]
    """
    pixels = image.shape[0] * image.shape[1]
    means = image.sum(axis=(0, 1), dtype=jnp.int32).astype(jnp.float32) / pixels
    offset = jnp.sum(means[None] * colors[:, 3:], axis=1)
    channels = image.astype(jnp.float32)
    return _to_uint8(sum(channels[:, :, c, None] * colors[None, None, :, c] for c in range(3)) + offset[None, None])


def blur_image(image: jax.Array, weights: jax.Array) -> jax.Array:
    """Blurs an image along rows and columns; it is mirrored at its edges.

    Args:
      image: uint8 ``[h, w, 3]``.
      weights: float32 ``[r + 1]``, those of a pixel and of its neighbors at the distances 1 to r on both sides.

    Returns:
      uint8 ``[h, w, 3]``.

    Example:
      >>> image = jnp.array([[[0] * 3, [100] * 3, [0] * 3]], jnp.uint8)
      >>> jax.jit(blur_image)(image, jnp.array([0.5, 0.25]))[0, :, 0].tolist()
      [50, 50, 50]
    """
    return _to_uint8(_blur_axis(_blur_axis(image, weights, 1), weights, 0))


def add_noise(image: jax.Array, key: jax.Array, std: jax.Array, *, draw_noise: DrawNoise) -> jax.Array:
    """Adds noise to an image.

    Args:
      image: uint8 ``[h, w, 3]``.
      key: uint32 ``[2]``.
      std: standard deviation in gray levels.
      draw_noise: ``(key, shape) -> noise`` with a standard deviation of 1.

    Returns:
      uint8 ``[h, w, 3]``.

    Example:
      >>> image, key = jnp.full((1, 1, 3), 100, jnp.uint8), jnp.zeros(2, jnp.uint32)
      >>> add_noise(image, key, 2.0, draw_noise=lambda key, shape: jnp.ones(shape)).tolist()
      [[[102, 102, 102]]]
    """
    return _to_uint8(image.astype(jnp.float32) + std * draw_noise(key, image.shape))


def _blur_axis(image: jax.Array, weights: jax.Array, axis: int) -> jax.Array:
    """Computes the weighted sum of each pixel and its neighbors along an axis, float32."""
    radius, side = weights.shape[0] - 1, image.shape[axis]
    pads = [(radius, radius) if axis == each else (0, 0) for each in range(image.ndim)]
    # Without the barrier, the compiler computes the padded image again for each neighbor of each pixel.
    padded = jax.lax.optimization_barrier(jnp.pad(image, pads, mode="reflect"))

    def at(distance: int) -> jax.Array:
        start = radius + distance
        return jax.lax.slice_in_dim(padded, start, start + side, axis=axis).astype(jnp.float32)

    return sum((weights[i] * (at(-i) + at(i)) for i in range(1, radius + 1)), weights[0] * at(0))


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


def _to_uint8(values: jax.Array) -> jax.Array:
    return jnp.clip(jnp.rint(values), 0, 255).astype(jnp.uint8)

"""Augmentation of a batch inside the compiled step, from numbers that the host has drawn.

Every augmentation is linear interpolation along rows and along columns, then a linear map of colors. Interpolation is a
product with a matrix that has at most two entries per row, since accelerators multiply faster than they gather. Images
do not depend on each other, so each device augments its own and needs nothing from others.
"""

from functools import partial

import jax
import jax.numpy as jnp

from jaxseg.types import IGNORE, Batch, UnaugmentedBatch

EXACT = jax.lax.Precision.HIGHEST


def augment_batch(batch: UnaugmentedBatch, *, fill: tuple[float, float, float]) -> Batch:
    """Augments the images and label maps of a batch.

    Args:
      batch: stored images ``[b, h', w', 3]``, their label maps, and what augmentation does to each.
      fill: color of what lies outside an image, 0..255. Its label is ``IGNORE``.

    Returns:
      The batch that the host makes of the same random numbers: label maps are equal, images within rounding.

    Example:
      >>> image = jnp.array([[[[0, 0, 0], [9, 9, 9]]]], jnp.uint8)
      >>> rows, flipped = jnp.zeros((1, 1)), jnp.array([[1.0, 0.0]])
      >>> one = UnaugmentedBatch(image, image[..., 0], jnp.array([True]), rows, flipped, jnp.array([False]))
      >>> jax.jit(partial(augment_batch, fill=(0.0, 0.0, 0.0)))(one).label.tolist()
      [[[9, 0]]]
    """
    image = jax.vmap(partial(sample_image, fill=fill))(batch.image, batch.rows, batch.columns, batch.padded)
    label = jax.vmap(sample_label)(batch.label, batch.rows, batch.columns, batch.padded)
    if batch.colors is not None:
        image = jax.vmap(change_colors)(image, batch.colors)
    return Batch(image, label, batch.valid)


def sample_image(
    image: jax.Array, rows: jax.Array, columns: jax.Array, padded: jax.Array, *, fill: tuple[float, float, float]
) -> jax.Array:
    """Interpolates an image linearly at every pair of a row and a column.

    Args:
      image: uint8 ``[h', w', 3]``.
      rows: float32 ``[h]``, positions; pixel centers have whole numbers.
      columns: float32 ``[w]``.
      padded: whether ``fill`` surrounds the image; otherwise its edges are repeated.
      fill: a color, 0..255.

    Returns:
      uint8 ``[h, w, 3]``.

    Example:
      >>> image = jnp.array([[[0, 0, 0], [100, 100, 100]]], jnp.uint8)
      >>> columns = jnp.array([-0.5, 0.0, 0.25, 1.5])
      >>> jax.jit(partial(sample_image, fill=(0, 0, 0)))(image, jnp.zeros(1), columns, False)[..., 0].tolist()
      [[0, 0, 25, 100]]
    """
    color = jnp.array(fill, jnp.float32)
    height, width = image.shape[:2]
    by_row, by_column = _linear_weights(rows, height, padded), _linear_weights(columns, width, padded)
    difference = image.astype(jnp.float32) - color[None, None]
    narrow = jnp.einsum("xj,ijc->ixc", by_column, difference, precision=EXACT)
    return _to_uint8(jnp.einsum("yi,ixc->yxc", by_row, narrow, precision=EXACT) + color[None, None])


def sample_label(label: jax.Array, rows: jax.Array, columns: jax.Array, padded: jax.Array) -> jax.Array:
    """Returns the label of the nearest pixel for every pair of a row and a column, see ``sample_image``.

    Example:
      >>> label = jnp.array([[3, 7]], jnp.uint8)
      >>> jax.jit(sample_label)(label, jnp.zeros(1), jnp.array([-0.6, 0.4, 0.6, 1.6]), True).tolist()
      [[255, 3, 7, 255]]
    """
    height, width = label.shape
    # Whole numbers up to 255 are exact in any precision of a product, and each row has one entry.
    difference = label.astype(jnp.float32) - IGNORE
    by_row, by_column = _nearest_weights(rows, height, padded), _nearest_weights(columns, width, padded)
    return (by_row @ (difference @ by_column.T) + IGNORE).astype(jnp.uint8)


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


def _linear_weights(positions: jax.Array, count: int, padded: jax.Array) -> jax.Array:
    """Returns the share of each of ``count`` pixels in linear interpolation at ``positions``: ``[n, count]``."""
    seen = jnp.where(padded, positions, jnp.clip(positions, 0, count - 1))
    return jnp.maximum(0, 1 - jnp.abs(seen[:, None] - jnp.arange(count)[None]))


def _nearest_weights(positions: jax.Array, count: int, padded: jax.Array) -> jax.Array:
    """Returns 1 for the one of ``count`` pixels nearest to each position, and 0 for others: ``[n, count]``."""
    nearest = jnp.rint(positions)
    seen = jnp.where(padded, nearest, jnp.clip(nearest, 0, count - 1))
    return (seen[:, None] == jnp.arange(count)[None]).astype(jnp.float32)


def _to_uint8(values: jax.Array) -> jax.Array:
    return jnp.clip(jnp.rint(values), 0, 255).astype(jnp.uint8)

"""Augmentation of a batch inside the compiled step, from numbers that the host has drawn.

Every augmentation is linear interpolation, then a linear map of colors, a blur and noise. Images do not depend on each
other, so each device augments its own and needs nothing from others.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from jaxseg.ops.grid_sampling import Color, sample_by_gathers, sample_by_products, sample_rotated
from jaxseg.ops.images import to_uint8
from jaxseg.types import Batch, UnaugmentedBatch

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
    return to_uint8(sum(channels[:, :, c, None] * colors[None, None, :, c] for c in range(3)) + offset[None, None])


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
    return to_uint8(_blur_axis(_blur_axis(image, weights, 1), weights, 0))


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
    return to_uint8(image.astype(jnp.float32) + std * draw_noise(key, image.shape))


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

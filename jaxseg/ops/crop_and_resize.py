"""Crop boxes and resize them by bilinear interpolation, with TensorFlow's semantics (tf.image.crop_and_resize)."""

import chex
import jax
import jax.numpy as jnp

from jaxseg.ops import bilinear, rounding


def crop_and_resize(
    image: jax.Array, boxes: jax.Array, *, output_size: tuple[int, int], extrapolation_value: float = 0.0
) -> jax.Array:
    """Crops boxes and resizes them bilinearly, one sample per output pixel. Corners of crops lie on corners of boxes.

    Coordinates are normalized: 0 is the center of the first row (or column), 1 that of the last. A box with ``x2 < x1``
    or ``y2 < y1`` flips the crop. A single row or column of output lies in the middle of the box.

    Args:
      image: ``[h, w, c]``.
      boxes: ``[p, 4]``, normalized ``[x1, y1, x2, y2]``; TensorFlow itself wants ``[y1, x1, y2, x2]``.
      output_size: rows and columns of each crop.
      extrapolation_value: the value of pixels outside the image.

    Returns:
      float32 ``[p, rows, columns, c]``.

    Example:
      >>> import numpy as np
      >>> image = np.tile(np.arange(3.0)[None, :, None], (2, 1, 1))  # each row is 0, 1, 2
      >>> crop = jax.jit(crop_and_resize, static_argnames="output_size")
      >>> crops = crop(image, jnp.array([[1.0, 0.0, 0.0, 1.0]]), output_size=(1, 2))  # flipped: x1 is larger than x2
      >>> np.asarray(crops)[0, :, :, 0].tolist()
      [[2.0, 0.0]]
    """
    chex.assert_rank([image, boxes], [3, 2])
    height, width, _ = image.shape
    rows, row_inside = _axis(boxes[:, 1], boxes[:, 3], output_size[0], height)
    columns, column_inside = _axis(boxes[:, 0], boxes[:, 2], output_size[1], width)
    lines = jnp.einsum("piy,yxc->pixc", rows, image.astype(jnp.float32))
    crops = jnp.einsum("pjx,pixc->pijc", columns, lines)
    inside = row_inside[:, :, None, None] & column_inside[:, None, :, None]
    return jnp.where(inside, crops, extrapolation_value)


def _axis(start: jax.Array, end: jax.Array, count: int, size: int) -> tuple[jax.Array, jax.Array]:
    """Returns the weights ``[p, count, size]`` of samples along one axis, and which ``[p, count]`` are in the image."""
    last = float(size - 1)
    if count == 1:
        positions = 0.5 * (start + end)[:, None] * last
    else:  # Computed in TensorFlow's order, so that a corner on the border is rounded to the same side.
        step = rounding.quotient(rounding.product(end - start, last), float(count - 1))
        steps = rounding.product(jnp.arange(count, dtype=jnp.float32)[None, :], step[:, None])
        positions = rounding.product(start, last)[:, None] + steps
    return bilinear.weights(positions, size, size), (positions >= 0) & (positions <= last)

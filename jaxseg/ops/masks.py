"""Masks between the image and the boxes of objects: cut out as targets, pasted back as predictions."""

import chex
import jax
import jax.numpy as jnp

from jaxseg.ops import bilinear, rounding
from jaxseg.ops.bins import ADAPTIVE, axis_matrix

# Boxes cut out, or masks pasted, at once: bounds the full-size masks held in memory.
_AT_ONCE = 8


def crop_targets(
    gt_masks: jax.Array,
    boxes: jax.Array,
    objects: jax.Array,
    size: int,
    extent: jax.Array | None = None,
    packed_width: int | None = None,
) -> jax.Array:
    """The part of its object's mask that each box frames, as the mask head is to predict it.

    RoIAlign with adaptive sampling, like torchvision's ``project_masks_on_boxes``: the values are fractions, and stay
    so, since torchvision trains on them without a threshold.

    Args:
      gt_masks: ``[m, h, w]``, of any type, 1 on the object; or packed, uint8 ``[m, h, w / 8]``.
      boxes: ``[p, 4]``, in pixels of these masks.
      objects: int32 ``[p]``, which mask belongs to each box.
      size: rows and columns of a target, commonly 28.
      extent: int32 ``[2]``, height and width of the image within its padding; a mask that reaches the border goes on
        beyond it, for the half pixel that matters. None: all of the masks' size.
      packed_width: w, of masks that ``np.packbits`` packed along their rows; they are unpacked a few at a time.

    Returns:
      float32 ``[p, size, size]``, in 0..1.
    """
    chex.assert_rank([gt_masks, boxes, objects], [3, 2, 1])
    height, width = gt_masks.shape[1], packed_width or gt_masks.shape[2]
    if extent is None:
        extent = jnp.array([height, width], jnp.int32)
    boxes = jax.lax.stop_gradient(boxes.astype(jnp.float32))

    def crop(box_and_object):
        (x1, y1, x2, y2), number = box_and_object
        rows = axis_matrix(y1[None], y2[None], 1.0, size, height, extent[0], ADAPTIVE, aligned=False)[0]
        columns = axis_matrix(x1[None], x2[None], 1.0, size, width, extent[1], ADAPTIVE, aligned=False)[0]
        mask = gt_masks[number]
        if packed_width:
            mask = jnp.unpackbits(mask, axis=-1, count=packed_width)
        mask = mask.astype(jnp.float32)
        # Highest: a mask in 0..1 shall not be rounded to bfloat16 where that is the precision of a network's products.
        return jnp.linalg.multi_dot([rows, mask, columns.T], precision=jax.lax.Precision.HIGHEST)

    return jax.lax.map(crop, (boxes, objects), batch_size=_AT_ONCE)


def paste_masks(probabilities: jax.Array, boxes: jax.Array, image_size: tuple[int, int]) -> jax.Array:
    """Masks predicted in boxes, laid into the image, as torchvision's ``paste_masks_in_image`` does.

    The mask is padded by a pixel of zeros, its box grown alike and truncated to whole pixels, of which it covers at
    least one, and interpolated bilinearly.

    Args:
      probabilities: ``[d, n, n]``.
      boxes: ``[d, 4]``, in pixels of the image.
      image_size: height and width of the result.

    Returns:
      float32 ``[d, height, width]``, 0 outside the boxes; commonly thresholded at 0.5.
    """
    chex.assert_rank([probabilities, boxes], [3, 2])
    height, width = image_size
    padded = jnp.pad(probabilities.astype(jnp.float32), ((0, 0), (1, 1), (1, 1)))
    grown = _grow(boxes.astype(jnp.float32), padded.shape[-1] / probabilities.shape[-1])
    x1, y1, x2, y2 = (grown[:, i] for i in range(4))

    def paste_one(arguments):
        mask, x1, y1, x2, y2 = arguments
        rows = _resize_matrix(y1, y2, mask.shape[0], height)
        columns = _resize_matrix(x1, x2, mask.shape[1], width)
        return jnp.linalg.multi_dot([rows, mask, columns.T], precision=jax.lax.Precision.HIGHEST)

    return jax.lax.map(paste_one, (padded, x1, y1, x2, y2), batch_size=_AT_ONCE)


def _grow(boxes: jax.Array, factor: float) -> jax.Array:
    """Boxes ``[d, 4]`` grown about their centers and truncated towards zero, still float32."""
    corners, opposite = boxes[:, :2], boxes[:, 2:]
    half_sides = rounding.product(rounding.product(opposite - corners, 0.5), factor)
    centers = rounding.product(opposite + corners, 0.5)
    return jnp.trunc(jnp.concatenate([centers - half_sides, centers + half_sides], axis=1))


def _resize_matrix(first: jax.Array, last: jax.Array, size: int, image_size: int) -> jax.Array:
    """Weights ``[image_size, size]`` that stretch ``size`` values over the pixels first..last of the image.

    The value of a pixel is sampled at its center (torch's align_corners=False).
    """
    length = jnp.maximum(last - first + 1, 1)
    pixels = jnp.arange(image_size, dtype=jnp.float32)
    positions = rounding.product(pixels - first + 0.5, rounding.quotient(float(size), length)) - 0.5
    inside = (pixels >= first) & (pixels <= last)
    return jnp.where(inside[:, None], bilinear.weights(positions, size, size), 0)

"""Masks of objects: crops them to boxes as targets, and pastes predicted ones into the image."""

import chex
import jax
import jax.numpy as jnp

from jaxseg.ops import bilinear, rounding
from jaxseg.ops.bins import ADAPTIVE, axis_matrix

# Boxes cropped by the CPU form, or masks pasted, per turn. It limits the number of full-size masks in memory.
_AT_ONCE = 8


def crop_targets(
    gt_masks: jax.Array,
    boxes: jax.Array,
    objects: jax.Array,
    size: int = 28,
    extent: jax.Array | None = None,
    packed_width: int | None = None,
    cpu_kernels: bool = False,
) -> jax.Array:
    """Crops the mask of each box's object to the box, as the target of the mask head.

    It is RoIAlign with adaptive sampling, like torchvision's ``project_masks_on_boxes``. The values are fractions;
    torchvision trains on them without a threshold.

    Args:
      gt_masks: ``[m, h, w]``, 1 on the object and 0 elsewhere; or packed, uint8 ``[m, h, w / 8]``.
      boxes: ``[p, 4]``, in pixels of these masks.
      objects: int32 ``[p]``, the index of each box's mask.
      size: rows and columns of a target.
      extent: int32 ``[2]``, height and width of the image without its padding. A mask that reaches the border continues
        beyond it by half a pixel. None uses the size of the masks.
      packed_width: w of masks that ``np.packbits`` packed along their rows. None: the masks are not packed.
      cpu_kernels: whether to use the form that is fast on one CPU device: few boxes per turn of a loop.

    Returns:
      float32 ``[p, size, size]``, in 0..1.

    Example:
      >>> import numpy as np
      >>> mask = np.tile([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0], (1, 8, 1))  # the right half
      >>> crop = jax.jit(crop_targets, static_argnames="size")
      >>> box, objects = jnp.array([[0.0, 0.0, 8.0, 8.0]]), jnp.array([0])
      >>> crop(mask, box, objects, size=2)[0].tolist()  # a bin averages 4 samples; that at the border is 1 / 2
      [[0.125, 1.0], [0.125, 1.0]]
    """
    chex.assert_rank([gt_masks, boxes, objects], [3, 2, 1])
    height, width = gt_masks.shape[1], packed_width or gt_masks.shape[2]
    if extent is None:
        extent = jnp.array([height, width], jnp.int32)
    x1, y1, x2, y2 = jax.lax.stop_gradient(boxes.astype(jnp.float32)).T

    def masks_of(objects):
        masks = gt_masks[objects]
        return jnp.unpackbits(masks, axis=-1, count=packed_width) if packed_width else masks

    def axis_weights(start, end, length, extent):
        return axis_matrix(start, end, 1.0, size, length, extent, ADAPTIVE, aligned=False)

    def crop(box_and_object):
        x1, y1, x2, y2, number = (value[None] for value in box_and_object)
        rows, columns = axis_weights(y1, y2, height, extent[0])[0], axis_weights(x1, x2, width, extent[1])[0]
        # Masks keep float32, even where products of the network are computed in bfloat16.
        mask = masks_of(number)[0].astype(jnp.float32)
        return jnp.linalg.multi_dot([rows, mask, columns.T], precision=jax.lax.Precision.HIGHEST)

    if cpu_kernels:
        return jax.lax.map(crop, (x1, y1, x2, y2, objects), batch_size=_AT_ONCE)
    rows, columns = axis_weights(y1, y2, height, extent[0]), axis_weights(x1, x2, width, extent[1])
    lines = _times_zeros_and_ones(rows, masks_of(objects))
    return jnp.einsum("pix,pjx->pij", lines, columns, precision=jax.lax.Precision.HIGHEST)


def _times_zeros_and_ones(weights: jax.Array, masks: jax.Array) -> jax.Array:
    """Multiplies float32 weights ``[p, i, y]`` with masks ``[p, y, x]`` of zeros and ones, exactly in three products.

    A float32 number is the sum of three bfloat16 numbers. So masks are stored in 16 bits, and the products of each part
    are those of a matrix unit.
    """
    parts = []
    for _ in range(3):
        # XLA may drop a conversion to bfloat16 and back, but keeps this.
        parts.append(jax.lax.reduce_precision(weights, exponent_bits=8, mantissa_bits=7))
        weights = weights - parts[-1]
    stacked, masks = (x.astype(jnp.bfloat16) for x in (jnp.concatenate(parts, axis=1), masks))
    products = jnp.einsum("piy,pyx->pix", stacked, masks, preferred_element_type=jnp.float32)
    return products.reshape(products.shape[0], 3, -1, products.shape[2]).sum(axis=1)


def paste_masks(probabilities: jax.Array, boxes: jax.Array, image_size: tuple[int, int]) -> jax.Array:
    """Pastes masks predicted in boxes into the image, as torchvision's ``paste_masks_in_image`` does.

    A mask is padded by one pixel of zeros. Its box grows by the same factor and is truncated to whole pixels, at least
    one. The mask is interpolated bilinearly.

    Args:
      probabilities: ``[d, n, n]``.
      boxes: ``[d, 4]``, in pixels of the image.
      image_size: height and width of the result.

    Returns:
      float32 ``[d, height, width]``, 0 outside the boxes; commonly thresholded at 0.5.

    Example:
      >>> import numpy as np
      >>> paste = jax.jit(paste_masks, static_argnames="image_size")
      >>> pasted = paste(jnp.ones((1, 4, 4)), jnp.array([[2.0, 0.0, 6.0, 4.0]]), (6, 8))
      >>> (np.asarray(pasted[0]) >= 0.5).sum(axis=0).tolist()  # columns 2 to 6, rows 0 to 4
      [0, 0, 5, 5, 5, 5, 5, 0]
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
    """Grows boxes ``[d, 4]`` about their centers and truncates them towards zero; they stay float32."""
    corners, opposite = boxes[:, :2], boxes[:, 2:]
    half_sides = rounding.product(rounding.product(opposite - corners, 0.5), factor)
    centers = rounding.product(opposite + corners, 0.5)
    return jnp.trunc(jnp.concatenate([centers - half_sides, centers + half_sides], axis=1))


def _resize_matrix(first: jax.Array, last: jax.Array, size: int, image_size: int) -> jax.Array:
    """Returns weights ``[image_size, size]`` that stretch ``size`` values over the pixels first..last of the image.

    The value of a pixel is sampled at its center (torch's align_corners=False).
    """
    length = jnp.maximum(last - first + 1, 1)
    pixels = jnp.arange(image_size, dtype=jnp.float32)
    positions = rounding.product(pixels - first + 0.5, rounding.quotient(float(size), length)) - 0.5
    inside = (pixels >= first) & (pixels <= last)
    return jnp.where(inside[:, None], bilinear.weights(positions, size, size), 0)

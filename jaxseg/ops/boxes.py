"""Box geometry: areas, overlaps, clipping, and the coding of one box relative to another.

Boxes are float32 ``[x1, y1, x2, y2]`` in pixels, continuous: the width is ``x2 - x1``. A box with a side of zero or
less is degenerate; nothing here turns one into NaN, in value or in gradient.
"""

import math

import chex
import jax
import jax.numpy as jnp

from jaxseg.ops import rounding

# A regressed side grows at most by this factor's logarithm, so that exp() stays in range (Detectron's constant).
MAX_LOG_GROWTH = math.log(1000.0 / 16)
# The side that a degenerate box is given where a side divides or stands in a logarithm.
SMALLEST_SIDE = 1e-6


def sides(boxes: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Widths and heights, each ``[...]``, of boxes ``[..., 4]``; negative for boxes turned inside out."""
    return boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]


def area(boxes: jax.Array) -> jax.Array:
    """Computes the areas ``[...]`` of boxes ``[..., 4]`` in square pixels; 0 for degenerate ones."""
    width, height = sides(boxes)
    return rounding.product(jnp.maximum(width, 0), jnp.maximum(height, 0))


def pairwise_iou(boxes: jax.Array, others: jax.Array) -> jax.Array:
    """Computes the intersection over union of boxes ``[p, 4]`` with others ``[m, 4]``: ``[p, m]``, in 0..1.

    0 where the union is empty. Bit for bit torchvision's numbers, on which ties depend.
    """
    chex.assert_shape([boxes, others], (None, 4))
    top_left = jnp.maximum(boxes[:, None, :2], others[None, :, :2])
    bottom_right = jnp.minimum(boxes[:, None, 2:], others[None, :, 2:])
    overlap = jnp.maximum(bottom_right - top_left, 0)
    intersection = rounding.product(overlap[..., 0], overlap[..., 1])
    union = area(boxes)[:, None] + area(others)[None, :] - intersection
    return jnp.where(union > 0, intersection / jnp.where(union > 0, union, 1), 0)


def clip(boxes: jax.Array, height: jax.Array, width: jax.Array) -> jax.Array:
    """Clips boxes ``[..., 4]`` to an image of the given height and width, which may be traced scalars."""
    x1, y1, x2, y2 = (boxes[..., i] for i in range(4))
    x1, x2 = (jnp.clip(x, 0, width) for x in (x1, x2))
    y1, y2 = (jnp.clip(y, 0, height) for y in (y1, y2))
    return jnp.stack([x1, y1, x2, y2], axis=-1)


def large_enough(boxes: jax.Array, min_side: float) -> jax.Array:
    """Returns True ``[...]`` where both sides of boxes ``[..., 4]`` are at least ``min_side`` pixels."""
    width, height = sides(boxes)
    return (width >= min_side) & (height >= min_side)


def encode(gt_boxes: jax.Array, boxes: jax.Array, weights: tuple[float, float, float, float]) -> jax.Array:
    """Encodes gt_boxes as deltas ``[..., 4]`` from boxes, both ``[..., 4]`` (R-CNN, appendix C).

    ``(dx, dy)`` is the shift of the center in sides of the box, ``(dw, dh)`` the logarithm of the sides' ratio, each
    times its weight. ``decode`` is its inverse.
    """
    chex.assert_equal_shape([gt_boxes, boxes])
    gt_x, gt_y, gt_width, gt_height = _center_form(gt_boxes)
    x, y, width, height = _center_form(boxes)
    gt_width, gt_height, width, height = (
        jnp.maximum(side, SMALLEST_SIDE) for side in (gt_width, gt_height, width, height)
    )
    weight_x, weight_y, weight_w, weight_h = weights
    dx = weight_x * (gt_x - x) / width
    dy = weight_y * (gt_y - y) / height
    dw = weight_w * jnp.log(gt_width / width)
    dh = weight_h * jnp.log(gt_height / height)
    return jnp.stack([dx, dy, dw, dh], axis=-1)


def decode(deltas: jax.Array, boxes: jax.Array, weights: tuple[float, float, float, float]) -> jax.Array:
    """Decodes the boxes ``[..., 4]`` to which deltas lead from boxes.

    Args:
      deltas: ``[..., 4]``, as ``encode`` makes them.
      boxes: ``[..., 4]``, of the same rank: for class-specific deltas ``[p, k, 4]`` pass boxes ``[p, 1, 4]``.
      weights: those of ``encode``.
    """
    x, y, width, height = _center_form(boxes)
    deltas = deltas.astype(jnp.promote_types(deltas.dtype, jnp.float32))
    dx, dy, dw, dh = (deltas[..., i] / weights[i] for i in range(4))
    center_x = dx * width + x
    center_y = dy * height + y
    half_width = 0.5 * jnp.exp(jnp.minimum(dw, MAX_LOG_GROWTH)) * width
    half_height = 0.5 * jnp.exp(jnp.minimum(dh, MAX_LOG_GROWTH)) * height
    return jnp.stack(
        [center_x - half_width, center_y - half_height, center_x + half_width, center_y + half_height], axis=-1
    )


def _center_form(boxes: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Returns center x, center y, width and height of boxes ``[..., 4]``, at least in float32."""
    boxes = boxes.astype(jnp.promote_types(boxes.dtype, jnp.float32))
    width, height = sides(boxes)
    return boxes[..., 0] + 0.5 * width, boxes[..., 1] + 0.5 * height, width, height

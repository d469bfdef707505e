"""Box geometry: areas, overlaps, clipping, and the coding of one box relative to another.

Boxes are float32 ``[x1, y1, x2, y2]`` in pixels, continuous: the width is ``x2 - x1``. A box with a side of zero or
less is degenerate. No function here makes NaN of it, in value or in gradient.
"""

import math

import chex
import jax
import jax.numpy as jnp

from jaxseg.ops import rounding

# Upper limit of the logarithm of a side's growth, which keeps exp() in range (Detectron's constant).
MAX_LOG_GROWTH = math.log(1000.0 / 16)
# Lower limit of a side that divides or is the argument of a logarithm.
SMALLEST_SIDE = 1e-6


def sides(boxes: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns widths and heights, each ``[...]``, of boxes ``[..., 4]``; negative where ``x2 < x1`` or ``y2 < y1``.

    Example:
      >>> width, height = sides(jnp.array([10.0, 20.0, 40.0, 30.0]))
      >>> float(width), float(height)
      (30.0, 10.0)
    """
    return boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]


def area(boxes: jax.Array) -> jax.Array:
    """Computes the areas ``[...]`` of boxes ``[..., 4]`` in square pixels; 0 for degenerate ones.

    Example:
      >>> area(jnp.array([[0.0, 0.0, 10.0, 20.0], [5.0, 5.0, 5.0, 9.0]])).tolist()
      [200.0, 0.0]
    """
    width, height = sides(boxes)
    return rounding.product(jnp.maximum(width, 0), jnp.maximum(height, 0))


def pairwise_iou(boxes: jax.Array, others: jax.Array) -> jax.Array:
    """Computes intersection over union of each pair of boxes: ``area(a and b) / (area(a) + area(b) - area(a and b))``.

    The numbers equal those of ``torchvision.ops.box_iou`` bit for bit, because ties depend on them.

    Args:
      boxes: ``[p, 4]``.
      others: ``[m, 4]``.

    Returns:
      ``[p, m]``, in 0..1; 0 where the union is empty.

    Example:
      >>> boxes = jnp.array([[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]])
      >>> pairwise_iou(boxes, jnp.array([[0.0, 0.0, 10.0, 5.0]])).tolist()  # half of the first box
      [[0.5], [0.0]]
    """
    chex.assert_shape([boxes, others], (None, 4))
    # One array per coordinate: TPUs pad a last axis of 2, so the compiler would reorder large arrays.
    x1, y1, x2, y2 = (boxes[:, None, i] for i in range(4))
    other_x1, other_y1, other_x2, other_y2 = (others[None, :, i] for i in range(4))
    width = jnp.maximum(jnp.minimum(x2, other_x2) - jnp.maximum(x1, other_x1), 0)
    height = jnp.maximum(jnp.minimum(y2, other_y2) - jnp.maximum(y1, other_y1), 0)
    intersection = rounding.product(width, height)
    union = area(boxes)[:, None] + area(others)[None, :] - intersection
    return jnp.where(union > 0, intersection / jnp.where(union > 0, union, 1), 0)


def clip(boxes: jax.Array, height: jax.Array | int, width: jax.Array | int) -> jax.Array:
    """Clips boxes ``[..., 4]`` to an image.

    Args:
      boxes: ``[..., 4]``.
      height: height of the image, a number or a traced scalar.
      width: width of the image.

    Example:
      >>> clip(jnp.array([-5.0, 10.0, 40.0, 90.0]), height=60, width=80).tolist()
      [0.0, 10.0, 40.0, 60.0]
    """
    x1, y1, x2, y2 = (boxes[..., i] for i in range(4))
    x1, x2 = (jnp.clip(x, 0, width) for x in (x1, x2))
    y1, y2 = (jnp.clip(y, 0, height) for y in (y1, y2))
    return jnp.stack([x1, y1, x2, y2], axis=-1)


def large_enough(boxes: jax.Array, min_side: float) -> jax.Array:
    """Returns True ``[...]`` where both sides of boxes ``[..., 4]`` are at least ``min_side`` pixels.

    Example:
      >>> large_enough(jnp.array([[0.0, 0.0, 10.0, 20.0], [5.0, 5.0, 5.0, 9.0]]), 1.0).tolist()
      [True, False]
    """
    width, height = sides(boxes)
    return (width >= min_side) & (height >= min_side)


def encode(
    gt_boxes: jax.Array, boxes: jax.Array, weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
) -> jax.Array:
    """Encodes boxes as deltas from other boxes (Girshick et al. 2014, R-CNN, appendix C); ``decode`` is its inverse.

    With centers x, y and sides w, h::

        dx = weight_x (gt_x - x) / w        dw = weight_w log(gt_w / w)
        dy = weight_y (gt_y - y) / h        dh = weight_h log(gt_h / h)

    Args:
      gt_boxes: ``[..., 4]``, the boxes to encode.
      boxes: ``[..., 4]``, the boxes that the deltas start from, such as anchors.
      weights: the weights of dx, dy, dw, dh. torchvision has (1, 1, 1, 1) in its region proposal network and
        (10, 10, 5, 5) in its box head.

    Returns:
      ``[..., 4]``, ``(dx, dy, dw, dh)``.

    Example:
      >>> encode(jnp.array([5.0, 0.0, 15.0, 10.0]), jnp.array([0.0, 0.0, 10.0, 10.0])).tolist()  # half a width right
      [0.5, 0.0, 0.0, 0.0]
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


def decode(
    deltas: jax.Array, boxes: jax.Array, weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
) -> jax.Array:
    """Applies deltas to boxes and returns the boxes ``[..., 4]`` that they encode.

    Args:
      deltas: ``[..., 4]``, as ``encode`` returns them.
      boxes: ``[..., 4]``, of the same rank: for class-specific deltas ``[p, k, 4]`` pass boxes ``[p, 1, 4]``.
      weights: the weights of ``encode``.

    Example:
      >>> decode(jnp.array([0.5, 0.0, 0.0, 0.0]), jnp.array([0.0, 0.0, 10.0, 10.0])).tolist()
      [5.0, 0.0, 15.0, 10.0]
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

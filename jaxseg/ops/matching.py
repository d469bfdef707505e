"""Matching: assigns an object, the background or nothing to each anchor or proposal."""

import enum
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxseg.ops import boxes as box_ops


class Match(enum.IntEnum):
    """The label of an anchor or a proposal."""

    BACKGROUND = 0
    OBJECT = 1
    IGNORED = 2  # overlaps an object too much to be background and too little to learn it


class Matches(NamedTuple):
    """The result of ``match``.

    Attributes:
      labels: int32 ``[p]``, values of ``Match``.
      objects: int32 ``[p]``, the object with the highest overlap; meaningful where the label is ``OBJECT``, and always
        a valid index into the padded objects.
    """

    labels: jax.Array
    objects: jax.Array


def match(
    boxes: jax.Array,
    gt_boxes: jax.Array,
    gt_valid: jax.Array | None = None,
    *,
    object_iou: float = 0.5,
    background_iou: float = 0.5,
    low_quality: bool = False,
) -> Matches:
    """Matches each box to the object that it overlaps most (Faster R-CNN, section 3.1.2; torchvision's Matcher).

    The defaults are those of torchvision's heads. Its region proposal network matches anchors with 0.7, 0.3 and True.

    Args:
      boxes: ``[p, 4]``, anchors or proposals.
      gt_boxes: ``[m, 4]``, padded.
      gt_valid: bool ``[m]``, False on padding and on crowd regions, which match nothing. Boxes that overlap only those
        are background, as in torchvision, because its data sets drop crowd regions. None: all objects are valid.
      object_iou: a box with at least this overlap is an ``OBJECT``.
      background_iou: a box with less than this overlap is ``BACKGROUND``; between the two it is ``IGNORED``.
      low_quality: whether each object also gets the boxes that overlap it most, including ties, at any overlap above 0.
        Such a box still learns the object that it overlaps most itself. torchvision would give an object without any
        overlap every box; here it gets none.

    Returns:
      The ``Matches``; all ``BACKGROUND`` where there is no object.

    Example:
      >>> boxes = jnp.array([[0.0, 0.0, 10.0, 9.0], [40.0, 40.0, 50.0, 50.0]])
      >>> gt_boxes = jnp.array([[20.0, 0.0, 30.0, 10.0], [0.0, 0.0, 10.0, 10.0]])
      >>> matches = jax.jit(match)(boxes, gt_boxes)
      >>> [Match(label).name for label in matches.labels.tolist()]
      ['OBJECT', 'BACKGROUND']
      >>> int(matches.objects[0])
      1
    """
    gt_valid = jnp.ones(gt_boxes.shape[0], bool) if gt_valid is None else gt_valid
    chex.assert_shape([boxes, gt_boxes], (None, 4))
    iou = jnp.where(gt_valid[None, :], box_ops.pairwise_iou(boxes, gt_boxes), -1.0)
    objects = jnp.argmax(iou, axis=1).astype(jnp.int32)
    best_iou = jnp.max(iou, axis=1)
    labels = jnp.where(best_iou < background_iou, Match.BACKGROUND, Match.IGNORED)
    labels = jnp.where(best_iou >= object_iou, Match.OBJECT, labels)
    if low_quality:
        is_best_of_object = (iou == jnp.max(iou, axis=0)[None, :]) & (iou > 0)
        labels = jnp.where(is_best_of_object.any(axis=1), Match.OBJECT, labels)
    return Matches(labels.astype(jnp.int32), objects)

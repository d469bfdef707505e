"""Which object, if any, each anchor or proposal is to learn."""

import enum
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxseg.ops import boxes as box_ops


class Match(enum.IntEnum):
    """What a box is to the objects of its image."""

    BACKGROUND = 0
    OBJECT = 1
    IGNORED = 2  # too close to an object to be background, too far from it to be one


class Matches(NamedTuple):
    """The answer of ``match``.

    Attributes:
      labels: int32 ``[p]``, of ``Match``.
      objects: int32 ``[p]``, the object with the highest overlap; meaningful where the label is ``OBJECT``, and always
        a valid index into the padded objects.
    """

    labels: jax.Array
    objects: jax.Array


def match(
    boxes: jax.Array,
    gt_boxes: jax.Array,
    gt_valid: jax.Array,
    *,
    object_iou: float,
    background_iou: float,
    low_quality: bool,
) -> Matches:
    """Matches each box to the object that it overlaps most (Faster R-CNN, section 3.1.2; torchvision's Matcher).

    Args:
      boxes: ``[p, 4]``, anchors or proposals.
      gt_boxes: ``[m, 4]``, padded.
      gt_valid: bool ``[m]``, False on padding and on crowd regions: those match nothing, and what overlaps only them is
        background, as in torchvision; its data sets drop crowd regions before training.
      object_iou: a box is an ``OBJECT`` from this overlap on.
      background_iou: and ``BACKGROUND`` below this one; ``IGNORED`` between the two.
      low_quality: let each object also have the boxes that overlap it most, all those that tie, however little that is.
        Such a box still learns the object that it itself overlaps most. An object that overlaps no box gets none
        (torchvision would give it every box that it does not overlap; its anchors leave no such object).

    Returns:
      The ``Matches``; all ``BACKGROUND`` where there is no object.
    """
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

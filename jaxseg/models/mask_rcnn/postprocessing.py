"""Chooses the detections of an image from the outputs of the box head."""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxseg.ops import boxes as box_ops
from jaxseg.ops.nms import nms

BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of the box coder


class DetectionConfig(NamedTuple):
    """How detections are chosen.

    Attributes:
      max_detections: maximum number of detections per image, d.
      score_threshold: detections with a lower score are dropped.
      nms_iou: a detection is removed if its overlap with a better one of its class is larger.
      min_size: boxes with a smaller side, in pixels, are dropped.
    """

    max_detections: int = 100
    score_threshold: float = 0.05
    nms_iou: float = 0.5
    min_size: float = 1e-2


class Detections(NamedTuple):
    """The objects found, best first.

    Attributes:
      boxes: float32 ``[b, d, 4]``, in pixels of the resized image.
      scores: float32 ``[b, d]``, in 0..1.
      classes: int32 ``[b, d]``, from 1.
      valid: bool ``[b, d]``, False in unused slots.
    """

    boxes: jax.Array
    scores: jax.Array
    classes: jax.Array
    valid: jax.Array


def detect(
    logits: jax.Array,
    deltas: jax.Array,
    boxes: jax.Array,
    valid: jax.Array,
    sizes: jax.Array,
    detection: DetectionConfig,
) -> Detections:
    """Chooses the detections of a batch.

    Args:
      logits: ``[b, p, k]``.
      deltas: ``[b, p, k, 4]``, or ``[b, p, 1, 4]`` where all classes share them.
      boxes: ``[b, p, 4]``, the proposals.
      valid: bool ``[b, p]``.
      sizes: int32 ``[b, 2]``, height and width of the images without any padding, to which boxes are clipped.
      detection: how detections are chosen.

    Example:
      >>> import numpy as np
      >>> boxes = np.array([[[0.0, 0, 8, 8], [0, 0, 8, 7], [8, 8, 16, 16]]])
      >>> logits = np.array([[[0.0, 4, 0], [0, 3, 0], [4, 0, 0]]])  # an object of class 1 twice, and background
      >>> deltas, valid, sizes = np.zeros((1, 3, 1, 4)), np.ones((1, 3), bool), np.array([[16, 16]])
      >>> found = detect(logits, deltas, boxes, valid, sizes, DetectionConfig(max_detections=2))
      >>> found.classes.tolist(), found.valid.tolist()
      ([[1, 0]], [[True, False]])
    """
    candidates = jax.vmap(partial(_candidates_of_one, detection=detection))(logits, deltas, boxes, valid, sizes)
    kept = nms(*candidates, iou_threshold=detection.nms_iou, max_output=detection.max_detections)
    boxes, scores, labels = (jax.vmap(lambda x, indices: x[indices])(x, kept.indices) for x in candidates[:3])
    return Detections(
        jnp.where(kept.valid[..., None], boxes, 0),
        jnp.where(kept.valid, scores, 0),
        jnp.where(kept.valid, labels, 0),
        kept.valid,
    )


def _candidates_of_one(logits, deltas, boxes, valid, size, *, detection):
    """Returns a box per proposal and class of one image: boxes, scores, classes, and which of them are usable."""
    classes = logits.shape[1]
    scores = nn.softmax(logits)[:, 1:]
    boxes = box_ops.decode(deltas, boxes[:, None], BOX_WEIGHTS)
    boxes = boxes[:, 1:] if boxes.shape[1] > 1 else jnp.repeat(boxes, classes - 1, axis=1)
    boxes = box_ops.clip(boxes, size[0], size[1]).reshape(-1, 4)
    labels = jnp.broadcast_to(jnp.arange(1, classes, dtype=jnp.int32)[None], scores.shape).ravel()
    usable = (valid[:, None] & (scores > detection.score_threshold)).ravel() & box_ops.large_enough(
        boxes, detection.min_size
    )
    return boxes, scores.ravel(), labels, usable

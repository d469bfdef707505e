"""The inputs and outputs of Mask R-CNN in training; ``targets.py`` computes the samples and their targets."""

from typing import NamedTuple

import jax


class SamplingConfig(NamedTuple):
    """How candidates are sampled for a loss, named as in torchvision and detectron2.

    Attributes:
      batch_size_per_image: number of candidates sampled per image.
      positive_fraction: maximum fraction of positives among them.
    """

    batch_size_per_image: int
    positive_fraction: float


RPN_SAMPLING = SamplingConfig(batch_size_per_image=256, positive_fraction=0.5)
BOX_SAMPLING = SamplingConfig(batch_size_per_image=512, positive_fraction=0.25)


class GroundTruth(NamedTuple):
    """The annotated objects of a batch, padded.

    Attributes:
      boxes: float32 ``[b, m, 4]``, in pixels of the resized images.
      classes: int32 ``[b, m]``, from 1.
      masks: uint8 ``[b, m, h, w]``, 1 on the object; or ``[b, m, h, w / 8]``, one bit per pixel, as np.packbits packs
        rows. All zero for an object without an annotated mask.
      usable: bool ``[b, m]``, False on padding and on crowd regions.
    """

    boxes: jax.Array
    classes: jax.Array
    masks: jax.Array
    usable: jax.Array


class AnchorSamples(NamedTuple):
    """Outputs of the RPN at the sampled anchors, and their targets.

    Attributes:
      logits: float32 ``[b, s]``.
      deltas: float32 ``[b, s, 4]``.
      gt_deltas: float32 ``[b, s, 4]``, meaningful where positive.
      positive: bool ``[b, s]``, True where the anchor is matched to an object.
      valid: bool ``[b, s]``, False in slots without a sample.
    """

    logits: jax.Array
    deltas: jax.Array
    gt_deltas: jax.Array
    positive: jax.Array
    valid: jax.Array


class Regions(NamedTuple):
    """Regions sampled from the proposals and the boxes of the objects, positives first.

    Attributes:
      boxes: float32 ``[b, r, 4]``.
      gt_classes: int32 ``[b, r]``, 0 where the region is background.
      gt_deltas: float32 ``[b, r, 4]``, meaningful where positive.
      objects: int32 ``[b, r]``, the object that the region is matched to.
      positive: bool ``[b, r]``.
      valid: bool ``[b, r]``.
    """

    boxes: jax.Array
    gt_classes: jax.Array
    gt_deltas: jax.Array
    objects: jax.Array
    positive: jax.Array
    valid: jax.Array


class TrainingOutputs(NamedTuple):
    """Outputs and targets of the five losses.

    Attributes:
      anchors: the sampled anchors.
      regions: the sampled regions.
      class_logits: float32 ``[b, r, k]`` of the regions.
      box_deltas: float32 ``[b, r, k, 4]`` (or ``[b, r, 1, 4]``) of the regions.
      mask_logits: float32 ``[b, r', 28, 28, k]`` (or ``[b, r', 28, 28, 1]``) of the first r' regions, which include all
        positive ones.
      gt_masks: float32 ``[b, r', 28, 28]``, in 0..1, meaningful where positive.
      has_mask: bool ``[b, r']``, False for regions of objects without an annotated mask.
    """

    anchors: AnchorSamples
    regions: Regions
    class_logits: jax.Array
    box_deltas: jax.Array
    mask_logits: jax.Array
    gt_masks: jax.Array
    has_mask: jax.Array

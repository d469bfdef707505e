"""Samples and targets of Mask R-CNN in training: the sampled anchors and regions, and the target of each.

No function here has parameters. Slots without a sample are not ``valid``, and no loss counts them.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxseg.models.mask_rcnn import postprocessing, rpn
from jaxseg.models.mask_rcnn.rpn import Proposals
from jaxseg.models.mask_rcnn.training import AnchorSamples, GroundTruth, Regions, SamplingConfig
from jaxseg.ops import boxes as box_ops
from jaxseg.ops.masks import crop_targets
from jaxseg.ops.matching import match
from jaxseg.ops.sampling import Samples, sample


def sample_anchors(
    keys: jax.Array,
    anchors: Sequence[jax.Array],
    usable: Sequence[jax.Array],
    truth: GroundTruth,
    sampling: SamplingConfig,
) -> Samples:
    """Samples anchors for the losses; indices are into the concatenated anchors of all levels.

    Args:
      keys: ``[b]``, the random key of each image.
      anchors: ``[b, a, 4]`` per level.
      usable: bool ``[b, a]`` per level, False for anchors that are never sampled.
      truth: the objects.
      sampling: number of samples and maximum fraction of positives.

    Example:
      >>> import numpy as np
      >>> masks = np.ones((1, 1, 16, 16), np.uint8)
      >>> truth = GroundTruth(np.array([[[0.0, 0, 8, 8]]]), np.array([[3]]), masks, np.array([[True]]))
      >>> anchors = [np.array([[[0.0, 0, 8, 8], [8, 8, 16, 16]]])]
      >>> keys, sampling = jax.random.split(jax.random.key(0), 1), SamplingConfig(2, positive_fraction=0.5)
      >>> drawn = sample_anchors(keys, anchors, [np.ones((1, 2), bool)], truth, sampling)
      >>> drawn.indices.tolist(), drawn.positive.tolist()
      ([[0, 1]], [[True, False]])
    """

    def draw(key, anchors, usable, boxes, objects):
        matches = match(anchors, boxes, objects, object_iou=0.7, background_iou=0.3, low_quality=True)
        return sample(key, matches.labels, usable, sampling.batch_size_per_image, sampling.positive_fraction)

    anchors, usable = jnp.concatenate(anchors, axis=1), jnp.concatenate(usable, axis=1)
    return jax.vmap(draw)(keys, anchors, usable, truth.boxes, truth.usable)


def anchor_samples(
    drawn: Samples,
    logits: Sequence[jax.Array],
    deltas: Sequence[jax.Array],
    anchors: Sequence[jax.Array],
    truth: GroundTruth,
) -> AnchorSamples:
    """Returns the RPN's outputs at the sampled anchors, and their targets.

    Example:
      >>> import numpy as np
      >>> masks = np.ones((1, 1, 16, 16), np.uint8)
      >>> truth = GroundTruth(np.array([[[0.0, 0, 8, 8]]]), np.array([[3]]), masks, np.array([[True]]))
      >>> drawn = Samples(np.array([[0, 1]]), np.array([[True, False]]), np.array([[True, True]]))
      >>> anchors = [np.array([[[0.0, 0, 8, 4], [8, 8, 16, 16]]])]
      >>> samples = anchor_samples(drawn, [np.array([[1.0, -1.0]])], [np.zeros((1, 2, 4))], anchors, truth)
      >>> print(samples.gt_deltas[0, 0].round(2))  # half a height down, and twice as high
      [0.   0.5  0.   0.69]
    """

    def look_up(drawn, logits, deltas, anchors, boxes, usable):
        logits, deltas, anchors = (x[drawn.indices] for x in (logits, deltas, anchors))
        matches = match(anchors, boxes, usable, object_iou=0.7, background_iou=0.3, low_quality=False)
        gt_deltas = box_ops.encode(boxes[matches.objects], anchors, rpn.BOX_WEIGHTS)
        return AnchorSamples(logits, deltas, gt_deltas, drawn.positive, drawn.valid)

    logits, deltas, anchors = (jnp.concatenate(x, axis=1) for x in (logits, deltas, anchors))
    return jax.vmap(look_up)(drawn, logits, deltas, anchors, truth.boxes, truth.usable)


def sample_regions(keys: jax.Array, proposals: Proposals, truth: GroundTruth, sampling: SamplingConfig) -> Samples:
    """Samples regions for the losses; indices are into the proposals followed by the boxes of the objects.

    Example:
      >>> import numpy as np
      >>> masks = np.ones((1, 1, 16, 16), np.uint8)
      >>> truth = GroundTruth(np.array([[[0.0, 0, 8, 8]]]), np.array([[3]]), masks, np.array([[True]]))
      >>> boxes = np.array([[[0.0, 0, 8, 8], [8, 8, 16, 16]]])
      >>> proposals = Proposals(boxes, np.array([[0.9, 0.8]]), np.ones((1, 2), bool))
      >>> keys, sampling = jax.random.split(jax.random.key(0), 1), SamplingConfig(4, positive_fraction=0.5)
      >>> drawn = sample_regions(keys, proposals, truth, sampling)
      >>> sorted(drawn.indices[0, :2].tolist())  # the first proposal, and the object's own box after both
      [0, 2]
    """

    def draw(key, candidates, usable, boxes, objects):
        matches = match(candidates, boxes, objects, object_iou=0.5, background_iou=0.5, low_quality=False)
        return sample(key, matches.labels, usable, sampling.batch_size_per_image, sampling.positive_fraction)

    return jax.vmap(draw)(keys, *_candidates(proposals, truth), truth.boxes, truth.usable)


def region_targets(drawn: Samples, proposals: Proposals, truth: GroundTruth) -> Regions:
    """Returns the boxes of the sampled regions, and their targets.

    Example:
      >>> import numpy as np
      >>> masks = np.ones((1, 1, 16, 16), np.uint8)
      >>> truth = GroundTruth(np.array([[[0.0, 0, 8, 8]]]), np.array([[3]]), masks, np.array([[True]]))
      >>> drawn = Samples(np.array([[0, 1]]), np.array([[True, False]]), np.array([[True, True]]))
      >>> boxes = np.array([[[0.0, 0, 8, 8], [8, 8, 16, 16]]])
      >>> proposals = Proposals(boxes, np.array([[0.9, 0.8]]), np.ones((1, 2), bool))
      >>> region_targets(drawn, proposals, truth).gt_classes.tolist()
      [[3, 0]]
    """

    def look_up(drawn, candidates, boxes, classes, objects):
        regions = candidates[drawn.indices]
        matches = match(regions, boxes, objects, object_iou=0.5, background_iou=0.5, low_quality=False)
        gt_classes = jnp.where(drawn.positive, classes[matches.objects], 0)
        gt_deltas = box_ops.encode(boxes[matches.objects], regions, postprocessing.BOX_WEIGHTS)
        return Regions(regions, gt_classes, gt_deltas, matches.objects, drawn.positive, drawn.valid)

    candidates, _ = _candidates(proposals, truth)
    return jax.vmap(look_up)(drawn, candidates, truth.boxes, truth.classes, truth.usable)


def positive_slots(regions: Regions, share: float) -> Regions:
    """Returns the slots that can be positive: the first ``share`` of them.

    Example:
      >>> import numpy as np
      >>> boxes = np.array([[[0.0, 0, 8, 8], [8, 8, 16, 16]]])
      >>> positive, valid = np.array([[True, False]]), np.ones((1, 2), bool)
      >>> regions = Regions(boxes, np.array([[3, 0]]), np.zeros((1, 2, 4)), np.zeros((1, 2), int), positive, valid)
      >>> positive_slots(regions, share=0.5).boxes.tolist()
      [[[0.0, 0.0, 8.0, 8.0]]]
    """
    count = int(regions.positive.shape[1] * share)
    return jax.tree.map(lambda x: x[:, :count], regions)


def mask_targets(
    regions: Regions, truth: GroundTruth, sizes: jax.Array, size: int, width: int, cpu_kernels: bool = False
) -> jax.Array:
    """Returns the targets of the mask head for regions: ``[b, r', size, size]``.

    Args:
      regions: the boxes and the objects that they are matched to.
      truth: the objects.
      sizes: int32 ``[b, 2]``, height and width of the images without any padding.
      size: rows and columns of a target.
      width: columns of an image with its padding; masks with fewer columns are packed.
      cpu_kernels: whether to use the form that is fast on one CPU device.

    Example:
      >>> import numpy as np
      >>> masks = np.ones((1, 1, 16, 16), np.uint8)
      >>> truth = GroundTruth(np.array([[[0.0, 0, 8, 8]]]), np.array([[3]]), masks, np.array([[True]]))
      >>> boxes = np.array([[[0.0, 0, 8, 8], [8, 8, 16, 16]]])
      >>> positive, valid = np.array([[True, False]]), np.ones((1, 2), bool)
      >>> regions = Regions(boxes, np.array([[3, 0]]), np.zeros((1, 2, 4)), np.zeros((1, 2), int), positive, valid)
      >>> mask_targets(regions, truth, np.array([[16, 16]]), size=2, width=16)[0, 0].tolist()
      [[1.0, 1.0], [1.0, 1.0]]
    """
    packed_width = width if truth.masks.shape[-1] != width else None

    def crop(masks, boxes, objects, extent):
        return crop_targets(masks, boxes, objects, size, extent, packed_width, cpu_kernels)

    return jax.vmap(crop)(truth.masks, regions.boxes, regions.objects, sizes)


def mask_known(regions: Regions, truth: GroundTruth) -> jax.Array:
    """Returns which regions ``[b, r']`` are matched to an object that has a mask.

    Example:
      >>> import numpy as np
      >>> masks = np.ones((1, 1, 16, 16), np.uint8)
      >>> truth = GroundTruth(np.array([[[0.0, 0, 8, 8]]]), np.array([[3]]), masks, np.array([[True]]))
      >>> boxes = np.array([[[0.0, 0, 8, 8], [8, 8, 16, 16]]])
      >>> positive, valid = np.array([[True, False]]), np.ones((1, 2), bool)
      >>> regions = Regions(boxes, np.array([[3, 0]]), np.zeros((1, 2, 4)), np.zeros((1, 2), int), positive, valid)
      >>> mask_known(regions, truth).tolist()
      [[True, True]]
    """
    known = jnp.any(truth.masks != 0, axis=(2, 3))
    return jnp.take_along_axis(known, regions.objects, axis=1)


def _candidates(proposals: Proposals, truth: GroundTruth) -> tuple[jax.Array, jax.Array]:
    """Returns proposals and boxes of objects, ``[b, p + m, 4]``, and which may be sampled, ``[b, p + m]``."""
    boxes = jnp.concatenate([proposals.boxes, truth.boxes], axis=1)
    return boxes, jnp.concatenate([proposals.valid, truth.usable], axis=1)

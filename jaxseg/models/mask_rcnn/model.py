"""Mask R-CNN on a ResNet with a feature pyramid, from normalized images to instances, as one program.

He et al., "Mask R-CNN", 2017; versions 1 and 2 are torchvision's ``maskrcnn_resnet50_fpn`` and ``..._v2``. All shapes
are static. Images are padded at the bottom and the right, which changes no prediction, see ``ops/padding.py``. Boxes,
proposals and detections have a fixed number of slots and a mask of valid ones.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype

from jaxseg.models.backbones.resnet import LAYERS, ResNet
from jaxseg.models.mask_rcnn import postprocessing, roi_heads, rpn, targets
from jaxseg.models.mask_rcnn.detections import Instances
from jaxseg.models.mask_rcnn.fpn import FPN
from jaxseg.models.mask_rcnn.postprocessing import DetectionConfig
from jaxseg.models.mask_rcnn.roi_heads import BOX_BINS, MASK_BINS, BoxHead, MaskHead
from jaxseg.models.mask_rcnn.rpn import ProposalConfig, Proposals, RPNHead
from jaxseg.models.mask_rcnn.training import (
    BOX_SAMPLING,
    RPN_SAMPLING,
    GroundTruth,
    SamplingConfig,
    TrainingOutputs,
)
from jaxseg.models.norms import norm_layer
from jaxseg.ops.sampling import Samples


class FixedSamples(NamedTuple):
    """Samples of one training step that are given; None samples at random.

    Attributes:
      anchors: indices into the anchors of all levels.
      proposals: the proposals from which regions are sampled.
      regions: indices into these proposals followed by the boxes of the objects; positives first.
    """

    anchors: Samples | None = None
    proposals: Proposals | None = None
    regions: Samples | None = None


NO_FIXED_SAMPLES = FixedSamples()


class MaskRCNN(nn.Module):
    """A Mask R-CNN. Each stage is a method that can be run and tested alone.

    Attributes:
      classes: number of classes, k, with the background; 91 in torchvision's weights.
      version: 1 or 2. The second also has norms in pyramid and heads, two convolutions in the head of the RPN, and four
        convolutions in the box head.
      depth: depth of the ResNet: 18, 34, 50 or 101.
      width: channels of the ResNet's stem; 64 in the paper, fewer for small machines.
      channels: channels of the pyramid and of the convolutions in the heads.
      hidden: outputs of the dense layers in the box head.
      class_agnostic: whether all classes share one set of box deltas and one mask.
      norm: kind of all norms, "frozen" or "batch".
      norm_epsilon: number that is added to the variance.
      trainable_layers: number of trainable stages of the backbone, 0 to 5, see ``ResNet``.
      anchor_sizes: sizes of the anchors of each level, in pixels.
      anchor_ratios: height / width of the anchors, on each level.
      proposal: how proposals are chosen in predictions.
      training_proposal: how proposals are chosen in training.
      rpn_sampling: how anchors are sampled for the losses of the RPN.
      box_sampling: how regions are sampled for the losses of the heads.
      detection: how detections are chosen.
      roi_align: "gather" or "einsum", see ``ops/roi_align.py``.
      mask_padding: whether training ignores the padding beyond each image's own multiple of 32. False follows
        torchvision, where all padding of a batch counts in training. Predictions always ignore it.
      train: whether norms of the kind "batch" use and update the statistics of the batch.
      remat: whether the backward pass computes the activations of the backbone's blocks again instead of storing them.
      dtype: type of the activations; parameters, logits, boxes and scores are float32.
      axis_name: the axis over which pmap's devices share batch statistics; jit needs none.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.

    Example:
      >>> model = MaskRCNN(classes=4, depth=18, width=8, channels=8, hidden=16)
      >>> image, sizes = jnp.zeros((1, 64, 96, 3)), jnp.array([[60, 90]])
      >>> instances, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), image, sizes)
      >>> instances.boxes.shape, instances.masks.shape
      ((1, 100, 4), (1, 100, 28, 28))
    """

    classes: int = 91
    version: int = 1
    depth: int = 50
    width: int = 64
    channels: int = 256
    hidden: int = 1024
    class_agnostic: bool = False
    norm: str = "frozen"
    norm_epsilon: float = 1e-5
    trainable_layers: int = 5
    anchor_sizes: Sequence[Sequence[float]] = ((32,), (64,), (128,), (256,), (512,))
    anchor_ratios: Sequence[float] = (0.5, 1.0, 2.0)
    proposal: ProposalConfig = rpn.TEST_PROPOSALS
    training_proposal: ProposalConfig = rpn.TRAINING_PROPOSALS
    rpn_sampling: SamplingConfig = RPN_SAMPLING
    box_sampling: SamplingConfig = BOX_SAMPLING
    detection: DetectionConfig = DetectionConfig()
    roi_align: str = "gather"
    mask_padding: bool = False
    train: bool = False
    remat: bool = False
    dtype: Dtype = jnp.float32
    axis_name: str | None = None
    cpu_kernels: bool = False

    def setup(self):
        """Makes the five networks."""
        if self.version not in (1, 2):
            raise ValueError(f"There is no version {self.version} of Mask R-CNN; it is 1 or 2.")
        shared = {"dtype": self.dtype, "axis_name": self.axis_name}
        norm = norm_layer(self.norm, train=self.train, epsilon=self.norm_epsilon, **shared)
        second = self.version == 2
        self.backbone = ResNet(
            self.depth,
            width=self.width,
            norm=self.norm,
            norm_epsilon=self.norm_epsilon,
            trainable_layers=self.trainable_layers,
            remat=self.remat,
            cpu_kernels=self.cpu_kernels,
            **shared,
        )
        computing = {"dtype": self.dtype, "cpu_kernels": self.cpu_kernels}
        self.fpn = FPN(self.channels, norm if second else None, **computing)
        anchors = len(self.anchor_sizes[0]) * len(self.anchor_ratios)
        self.rpn_head = RPNHead(2 if second else 1, anchors, **computing)
        self.box_head = BoxHead(self.classes, 4 if second else 0, self.hidden, self.class_agnostic, norm, **computing)
        masks = 1 if self.class_agnostic else self.classes
        self.mask_head = MaskHead(masks, self.channels, norm if second else None, **computing)

    def __call__(self, image: jax.Array, sizes: jax.Array, extents: jax.Array | None = None) -> Instances:
        """Finds the instances in a batch of images.

        Args:
          image: float ``[b, h, w, 3]``, normalized, then padded with zeros; h and w are multiples of 32.
          sizes: int32 ``[b, 2]``, height and width of each image before it was padded.
          extents: int32 ``[b, 2]``, the size of each image rounded up to multiples of 32; padding beyond it is
            ignored. None: all padding counts, so the size of the batch changes predictions, as in torchvision.

        Returns:
          The ``Instances``; boxes are in pixels of these images.
        """
        pyramid = self.pyramid(image, extents)
        logits, deltas = self.rpn_head(pyramid, extents)
        anchors, usable = self.anchors(pyramid, image, extents)
        proposals = rpn.propose(logits, deltas, anchors, usable, sizes, self.proposal)
        logits, deltas = self.box_outputs(pyramid, proposals.boxes, proposals.valid, extents)
        found = postprocessing.detect(logits, deltas, proposals.boxes, proposals.valid, sizes, self.detection)
        logits = self.mask_logits(pyramid, found.boxes, found.valid, extents)
        logits = jax.vmap(roi_heads.masks_of_classes)(logits, found.classes)
        return Instances(*found, nn.sigmoid(logits))

    def training(
        self,
        image: jax.Array,
        sizes: jax.Array,
        truth: GroundTruth,
        key: jax.Array,
        extents: jax.Array | None = None,
        fixed: FixedSamples = NO_FIXED_SAMPLES,
    ) -> TrainingOutputs:
        """Computes the outputs and targets that ``losses.mask_rcnn`` compares.

        Args:
          image: float ``[b, h, w, 3]``, see ``__call__``.
          sizes: int32 ``[b, 2]``, see ``__call__``.
          truth: the objects.
          key: the random key that samples anchors and regions: one for all images, or one per image, ``[b]``.
          extents: int32 ``[b, 2]``, see ``__call__``; unused unless ``mask_padding``.
          fixed: samples to use instead of random ones; for comparisons with other implementations.
        """
        if not self.mask_padding:
            extents = None
        keys = key if key.ndim else jax.random.split(key, image.shape[0])
        anchor_keys, region_keys = jax.vmap(jax.random.split, out_axes=1)(keys)
        pyramid = self.pyramid(image, extents)
        logits, deltas = self.rpn_head(pyramid, extents)
        anchors, usable = self.anchors(pyramid, image, extents)
        of_anchors = fixed.anchors or targets.sample_anchors(anchor_keys, anchors, usable, truth, self.rpn_sampling)
        rpn_samples = targets.anchor_samples(of_anchors, logits, deltas, anchors, truth)

        proposals = fixed.proposals or rpn.propose(logits, deltas, anchors, usable, sizes, self.training_proposal)
        of_regions = fixed.regions or targets.sample_regions(region_keys, proposals, truth, self.box_sampling)
        regions = targets.region_targets(of_regions, proposals, truth)
        logits, deltas = self.box_outputs(pyramid, regions.boxes, regions.valid, extents)

        first = targets.positive_slots(regions, self.box_sampling.positive_fraction)
        mask_logits = self.mask_logits(pyramid, first.boxes, first.positive, extents)
        gt_masks = targets.mask_targets(first, truth, sizes, mask_logits.shape[2], image.shape[2], self.cpu_kernels)
        has_mask = targets.mask_known(first, truth)
        return TrainingOutputs(rpn_samples, regions, logits, deltas, mask_logits, gt_masks, has_mask)

    def pyramid(self, image: jax.Array, extents: jax.Array | None = None) -> tuple[jax.Array, ...]:
        """Computes P2 to P6 of a batch: ``[b, h / s, w / s, channels]`` for s = 4 to 64."""
        features = self.backbone(image, train=self.train, extents=extents)
        return self.fpn([features[layer] for layer in LAYERS], extents)

    def rpn_outputs(
        self, pyramid: Sequence[jax.Array], extents: jax.Array | None = None
    ) -> tuple[list[jax.Array], list[jax.Array]]:
        """Computes logits ``[b, a]`` and deltas ``[b, a, 4]`` of each level."""
        return self.rpn_head(pyramid, extents)

    def anchors(
        self, pyramid: Sequence[jax.Array], image: jax.Array, extents: jax.Array | None = None
    ) -> tuple[list[jax.Array], list[jax.Array]]:
        """Returns anchors ``[b, a, 4]`` of each level, and which of them lie within the extents, ``[b, a]``."""
        if extents is None:
            extents = jnp.broadcast_to(jnp.array(image.shape[1:3], jnp.int32)[None], (image.shape[0], 2))
        return rpn.place_anchors(pyramid, extents, self.anchor_sizes, self.anchor_ratios)

    def box_outputs(
        self, pyramid: Sequence[jax.Array], boxes: jax.Array, valid: jax.Array, extents: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Computes class logits ``[b, p, k]`` and deltas ``[b, p, k or 1, 4]`` of boxes ``[b, p, 4]``."""
        regions = roi_heads.pool(pyramid, boxes, extents, BOX_BINS, self.roi_align, self.cpu_kernels)
        logits, deltas = self.box_head(regions, valid.ravel())
        return logits.reshape(*valid.shape, -1), deltas.reshape(*valid.shape, -1, 4)

    def mask_logits(
        self, pyramid: Sequence[jax.Array], boxes: jax.Array, valid: jax.Array, extents: jax.Array | None = None
    ) -> jax.Array:
        """Computes mask logits ``[b, p, 28, 28, k]`` (or ``[b, p, 28, 28, 1]``) of boxes ``[b, p, 4]``."""
        regions = roi_heads.pool(pyramid, boxes, extents, MASK_BINS, self.roi_align, self.cpu_kernels)
        if self.cpu_kernels and not self.is_initializing() and not (self.train and self.norm == "batch"):
            head, variables = self.mask_head.unbind()
            return roi_heads.in_used_slots(partial(head.apply, variables), regions, valid)
        logits = self.mask_head(regions, valid.ravel())
        return logits.reshape(*valid.shape, *logits.shape[1:])

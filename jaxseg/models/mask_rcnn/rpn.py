"""Region proposal network (RPN): finds boxes that may contain an object of any class.

Ren et al., "Faster R-CNN", 2015, section 3.1, on a feature pyramid (Lin et al. 2017, section 4.1), with the constants
of torchvision.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype

from jaxseg.models.blocks import ConvBlock
from jaxseg.models.layers import Conv
from jaxseg.models.mask_rcnn.fpn import STRIDES
from jaxseg.ops import boxes as box_ops
from jaxseg.ops.anchors import base_anchors
from jaxseg.ops.nms import nms
from jaxseg.ops.padding import valid_mask

BOX_WEIGHTS = (1.0, 1.0, 1.0, 1.0)  # of the box coder

INIT = nn.initializers.normal(0.01)


class ProposalConfig(NamedTuple):
    """How proposals are chosen.

    Attributes:
      pre_nms_top_n: number of boxes with the best scores per level that enter non-maximum suppression.
      post_nms_top_n: maximum number of boxes per image that leave it.
      nms_iou: a box is removed if its overlap with a better one of its level is larger.
      min_size: boxes with a smaller side, in pixels, are dropped.
    """

    pre_nms_top_n: int
    post_nms_top_n: int
    nms_iou: float = 0.7
    min_size: float = 1e-3


TRAINING_PROPOSALS = ProposalConfig(pre_nms_top_n=2000, post_nms_top_n=2000)
TEST_PROPOSALS = ProposalConfig(pre_nms_top_n=1000, post_nms_top_n=1000)


class Proposals(NamedTuple):
    """Boxes that may hold an object, best first.

    Attributes:
      boxes: float32 ``[b, p, 4]``.
      scores: float32 ``[b, p]``, in 0..1.
      valid: bool ``[b, p]``, False in unused slots.
    """

    boxes: jax.Array
    scores: jax.Array
    valid: jax.Array


class RPNHead(nn.Module):
    """3x3 convolutions shared by all levels, then a logit and four deltas per anchor.

    Attributes:
      convs: number of 3x3 convolutions: one in torchvision's v1, two in its v2.
      anchors: number of anchors at each position.
      dtype: type of the computation; parameters and outputs are float32.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.
    """

    convs: int = 1
    anchors: int = 3
    dtype: Dtype = jnp.float32
    cpu_kernels: bool = False

    @nn.compact
    def __call__(
        self, pyramid: Sequence[jax.Array], extents: jax.Array | None = None
    ) -> tuple[list[jax.Array], list[jax.Array]]:
        """Computes logits ``[b, a]`` and deltas ``[b, a, 4]`` of each level; anchors are ordered by row, column, shape.

        Args:
          pyramid: P2 to P6, ``[b, h, w, c]``.
          extents: the part of each image that counts, see ``ops/padding.py``.
        """
        channels = pyramid[0].shape[-1]
        options = {"kernel_init": INIT, "dtype": self.dtype, "cpu_kernels": self.cpu_kernels}
        convs = [ConvBlock(channels, name=f"conv_{i}", **options) for i in range(self.convs)]
        score = Conv(self.anchors, 1, name="cls_logits", **options)
        refine = Conv(4 * self.anchors, 1, name="bbox_pred", **options)
        logits, deltas = [], []
        for x, stride in zip(pyramid, STRIDES, strict=True):
            mask = valid_mask(extents, x.shape[1:3], stride)
            for conv in convs:
                x = conv(x, mask)
            logits.append(score(x).astype(jnp.float32).reshape(x.shape[0], -1))
            deltas.append(refine(x).astype(jnp.float32).reshape(x.shape[0], -1, 4))
        return logits, deltas


def place_anchors(
    pyramid: Sequence[jax.Array], extents: jax.Array, sizes: Sequence[Sequence[float]], ratios: Sequence[float]
) -> tuple[list[jax.Array], list[jax.Array]]:
    """Returns anchors, float32 ``[b, a, 4]``, of each level, and which of them are in the valid part, bool ``[b, a]``.

    The distance of two anchors is that of torchvision: the side of the padded image divided by that of the map, rounded
    down. On P6 it depends on the image: 57 pixels instead of 64 where a side of 288 has 5 positions.

    Args:
      pyramid: P2 to P6, ``[b, h, w, c]``.
      extents: int32 ``[b, 2]``, see ``ops/padding.py``.
      sizes: sizes of the anchors of each level: square roots of areas, in pixels.
      ratios: height / width of the anchors.

    Example:
      >>> import numpy as np
      >>> pyramid = [np.zeros((1, n, n, 8)) for n in (4, 2, 1, 1, 1)]
      >>> sizes = [[32], [64], [128], [256], [512]]
      >>> anchors, valid = place_anchors(pyramid, np.array([[16, 12]]), sizes, ratios=[1.0])
      >>> [level.shape for level in anchors]
      [(1, 16, 4), (1, 4, 4), (1, 1, 4), (1, 1, 4), (1, 1, 4)]
      >>> anchors[0][0, 5].tolist()  # around (4, 4), the second position of the second row
      [-12.0, -12.0, 20.0, 20.0]
      >>> int(valid[0].sum())  # the fourth column lies beyond the 12 columns that count
      12
    """
    anchors, valid = [], []
    for x, nominal, level_sizes in zip(pyramid, STRIDES, sizes, strict=True):
        base = jnp.asarray(base_anchors(level_sizes, ratios))
        steps = (extents // -(-extents // nominal)).astype(jnp.float32)
        rows, columns = (jnp.arange(n, dtype=jnp.float32)[None] for n in x.shape[1:3])
        y, x_ = rows * steps[:, :1], columns * steps[:, 1:]
        y, x_ = jnp.broadcast_arrays(y[:, :, None], x_[:, None, :])
        corners = jnp.stack([x_, y, x_, y], axis=-1)[..., None, :] + base[None, None, None]
        anchors.append(corners.reshape(corners.shape[0], -1, 4))
        counts = jnp.broadcast_to(valid_mask(extents, x.shape[1:3], nominal), (*corners.shape[:3], len(base)))
        valid.append(counts.reshape(corners.shape[0], -1))
    return anchors, valid


def propose(
    logits: Sequence[jax.Array],
    deltas: Sequence[jax.Array],
    anchors: Sequence[jax.Array],
    valid: Sequence[jax.Array],
    sizes: jax.Array,
    proposal: ProposalConfig,
) -> Proposals:
    """Chooses the best boxes of a batch, without gradients.

    Args:
      logits: ``[b, a]`` per level.
      deltas: ``[b, a, 4]`` per level.
      anchors: ``[b, a, 4]`` per level.
      valid: bool ``[b, a]`` per level, False for anchors beyond the extent of an image.
      sizes: int32 ``[b, 2]``, height and width of the images without any padding, to which boxes are clipped.
      proposal: how proposals are chosen.

    Example:
      >>> import numpy as np
      >>> anchors = np.array([[[0.0, 0, 8, 8], [0, 0, 8, 7], [8, 8, 16, 16]]])  # the first two overlap
      >>> logits, valid, sizes = np.array([[2.0, 1, 0]]), np.ones((1, 3), bool), np.array([[16, 12]])
      >>> config = ProposalConfig(pre_nms_top_n=3, post_nms_top_n=2)
      >>> propose([logits], [np.zeros((1, 3, 4))], [anchors], [valid], sizes, config).boxes[0].tolist()
      [[0.0, 0.0, 8.0, 8.0], [8.0, 8.0, 12.0, 16.0]]
    """
    logits, deltas = jax.lax.stop_gradient((logits, deltas))
    candidates = jax.vmap(partial(_candidates_of_one, proposal=proposal))(logits, deltas, anchors, valid, sizes)
    kept = nms(*candidates, iou_threshold=proposal.nms_iou, max_output=proposal.post_nms_top_n)
    boxes, scores = (jax.vmap(lambda x, indices: x[indices])(x, kept.indices) for x in candidates[:2])
    return Proposals(boxes, scores, kept.valid)


def _candidates_of_one(logits, deltas, anchors, valid, size, *, proposal):
    """Returns the best boxes of each level of one image: boxes, scores, levels, and which of them are usable."""
    boxes, scores, levels, usable = [], [], [], []
    for level, level_logits in enumerate(logits):
        count = min(proposal.pre_nms_top_n, level_logits.shape[0])
        best, indices = jax.lax.top_k(jnp.where(valid[level], level_logits, -jnp.inf), count)
        boxes.append(box_ops.decode(deltas[level][indices], anchors[level][indices], BOX_WEIGHTS))
        scores.append(nn.sigmoid(best))
        levels.append(jnp.full(count, level, jnp.int32))
        usable.append(valid[level][indices])
    boxes, scores, levels, usable = map(jnp.concatenate, (boxes, scores, levels, usable))
    boxes = box_ops.clip(boxes, size[0], size[1])
    usable &= box_ops.large_enough(boxes, proposal.min_size)
    return boxes, scores, levels, usable

"""The heads that classify each region, refine its box and predict its mask.

He et al., "Mask R-CNN", 2017, section 3 and appendix; torchvision's v1 and v2 of the heads.
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype

from jaxseg.models.blocks import HE_FAN_OUT, LINEAR, ConvBlock
from jaxseg.models.layers import Conv
from jaxseg.models.mask_rcnn.fpn import STRIDES
from jaxseg.models.resampling import UpConv2x2
from jaxseg.ops.roi_align import pyramid_level, pyramid_roi_align

BOX_BINS = 7
MASK_BINS = 14

SLOTS_PER_TURN = 16  # slots per image and turn of ``in_used_slots``


class BoxHead(nn.Module):
    """Class logits and box deltas of pooled regions.

    Attributes:
      classes: number of classes, k, with the background.
      convs: number of 3x3 convolutions with a norm before the dense layers: 0 in torchvision's v1, which has two dense
        layers; 4 in its v2, which has one.
      hidden: outputs of the dense layers.
      class_agnostic: whether all classes share one set of deltas.
      norm: makes a norm.
      dtype: type of the computation; parameters and outputs are float32.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.
    """

    classes: int
    convs: int
    hidden: int
    class_agnostic: bool
    norm: Callable[..., nn.Module]
    dtype: Dtype
    cpu_kernels: bool

    @nn.compact
    def __call__(self, x: jax.Array, valid: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Computes logits ``[n, k]`` and deltas ``[n, k or 1, 4]`` of regions ``[n, 7, 7, c]``, valid ``[n]``."""
        mask = valid[:, None, None, None]
        for i in range(self.convs):
            block = ConvBlock(
                x.shape[-1], norm=self.norm, dtype=self.dtype, cpu_kernels=self.cpu_kernels, name=f"conv_{i}"
            )
            x = block(x, mask)
        dense = partial(nn.Dense, kernel_init=LINEAR, dtype=self.dtype)
        first = nn.DenseGeneral(self.hidden, axis=(1, 2, 3), kernel_init=LINEAR, dtype=self.dtype, name="fc6")
        x = nn.relu(first(x))
        if not self.convs:
            x = nn.relu(dense(self.hidden, name="fc7")(x))
        logits = dense(self.classes, name="cls_score")(x)
        deltas = dense(4 * (1 if self.class_agnostic else self.classes), name="bbox_pred")(x)
        return logits.astype(jnp.float32), deltas.astype(jnp.float32).reshape(x.shape[0], -1, 4)


class MaskHead(nn.Module):
    """Mask logits of pooled regions: four 3x3 convolutions, doubled resolution, one mask per class.

    Attributes:
      classes: number of masks per region.
      channels: channels of all convolutions.
      norm: makes the norm after each 3x3 convolution; None: the convolutions have biases.
      dtype: type of the computation; parameters and outputs are float32.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.
    """

    classes: int
    channels: int
    norm: Callable[..., nn.Module] | None
    dtype: Dtype
    cpu_kernels: bool

    @nn.compact
    def __call__(self, x: jax.Array, valid: jax.Array) -> jax.Array:
        """Computes logits ``[n, 28, 28, k]`` of regions ``[n, 14, 14, c]``, valid ``[n]``."""
        mask = valid[:, None, None, None]
        options = {"kernel_init": HE_FAN_OUT, "dtype": self.dtype, "cpu_kernels": self.cpu_kernels}
        for i in range(4):
            x = ConvBlock(self.channels, norm=self.norm, name=f"conv_{i}", **options)(x, mask)
        x = nn.relu(UpConv2x2(self.channels, name="conv5_mask", **options)(x))
        logits = Conv(self.classes, 1, name="mask_fcn_logits", **options)(x)
        return logits.astype(jnp.float32)


def in_used_slots(head: Callable[[jax.Array, jax.Array], jax.Array], regions: jax.Array, valid: jax.Array) -> jax.Array:
    """Applies a head to a few slots of each image per turn, and skips turns without a valid slot.

    On a CPU this saves most of the time of the mask head: valid slots come first, and commonly they are few.

    Args:
      head: ``(regions [n, ...], valid [n]) -> outputs [n, ...]``, each region independent of the others.
      regions: ``[b * p, ...]``.
      valid: bool ``[b, p]``.

    Returns:
      ``[b, p, ...]``; 0 in slots that were skipped.

    Example:
      >>> import numpy as np
      >>> regions, valid = np.arange(1.0, 18), np.arange(17)[None] < 2  # the second turn has no valid slot
      >>> outputs = in_used_slots(lambda regions, valid: 10 * regions, regions, valid)
      >>> outputs.shape, outputs[0, [0, 1, 16]].tolist()
      ((1, 17), [10.0, 20.0, 0.0])
    """
    images, slots = valid.shape
    turns = -(-slots // SLOTS_PER_TURN)
    fill = turns * SLOTS_PER_TURN - slots

    def by_turn(array):
        array = jnp.pad(array, ((0, 0), (0, fill)) + ((0, 0),) * (array.ndim - 2))
        return jnp.moveaxis(array.reshape(images, turns, SLOTS_PER_TURN, *array.shape[2:]), 1, 0)

    def run(regions, valid):
        outputs = head(regions.reshape(-1, *regions.shape[2:]), valid.ravel())
        return outputs.reshape(*valid.shape, *outputs.shape[1:])

    def skip(regions, valid):
        outputs = jax.eval_shape(run, regions, valid)
        return jnp.zeros(outputs.shape, outputs.dtype)

    def turn(_, slots):
        regions, valid = slots
        return None, jax.lax.cond(valid.any(), run, skip, regions, valid)

    regions = regions.reshape(images, slots, *regions.shape[1:])
    _, outputs = jax.lax.scan(turn, None, (by_turn(regions), by_turn(valid)))
    outputs = jnp.moveaxis(outputs, 0, 1)
    return outputs.reshape(images, turns * SLOTS_PER_TURN, *outputs.shape[3:])[:, :slots]


def pool(
    pyramid: Sequence[jax.Array],
    boxes: jax.Array,
    extents: jax.Array | None,
    bins: int,
    form: str,
    cpu_kernels: bool = False,
) -> jax.Array:
    """Pools each box's features from the level of its size: ``[b * p, bins, bins, c]``.

    Args:
      pyramid: P2 to P6; nothing is pooled from the last.
      boxes: ``[b, p, 4]``, in pixels.
      extents: the part of each image that counts, see ``ops/padding.py``.
      bins: rows and columns of the result.
      form: of RoIAlign, see ``ops/roi_align.py``.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.

    Example:
      >>> import numpy as np
      >>> pyramid = [np.full((1, n, n, 2), float(n), np.float32) for n in (64, 32, 16, 8, 4)]  # of 256x256 pixels
      >>> boxes = np.array([[[0, 0, 60, 60], [0, 0, 250, 250]]], np.float32)  # pooled from P2 and from P4
      >>> pooled = jax.jit(pool, static_argnums=(3, 4))(pyramid, boxes, None, 2, "gather")
      >>> pooled.shape, pooled[:, 0, 0, 0].tolist()
      ((2, 2, 2, 2), [64.0, 16.0])
    """
    levels, strides = pyramid[:4], STRIDES[:4]
    align = partial(
        pyramid_roi_align,
        output_size=(bins, bins),
        scales=[1 / stride for stride in strides],
        sampling_ratio=2,
        aligned=False,
        form=form,
        cpu_kernels=cpu_kernels,
    )
    of_levels = None if extents is None else jnp.stack([extents // stride for stride in strides], axis=1)

    def pool_one(maps: Sequence[jax.Array], boxes: jax.Array, extents: jax.Array | None) -> jax.Array:
        return align(maps, boxes, pyramid_level(boxes, 2, 5) - 2, extents=extents)

    pooled = jax.vmap(pool_one)(levels, boxes, of_levels)
    return pooled.reshape(-1, *pooled.shape[2:])


def masks_of_classes(logits: jax.Array, classes: jax.Array) -> jax.Array:
    """Selects from mask logits ``[n, 28, 28, k]`` the mask ``[n, 28, 28]`` of each region's class ``[n]``.

    Example:
      >>> import numpy as np
      >>> masks_of_classes(np.array([[[[0.0, 1.0, 2.0]]]]), np.array([2])).tolist()
      [[[2.0]]]
    """
    if logits.shape[-1] == 1:
        return logits[..., 0]
    # A sum with one term that is not 0, because the gradient of a look-up would be a scatter.
    chosen = classes[:, None] == jnp.arange(logits.shape[-1])[None]
    return jnp.where(chosen[:, None, None], logits, 0).sum(axis=-1)

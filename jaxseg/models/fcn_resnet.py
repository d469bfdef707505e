"""Fully convolutional networks for semantic segmentation.

Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", 2015. The form on a dilated ResNet
with an auxiliary head on layer3 is that of torchvision's ``fcn_resnet50`` and ``fcn_resnet101``.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype

from jaxseg.models.backbones.resnet import ResNet, convolution
from jaxseg.models.layers import Conv
from jaxseg.models.norms import norm_layer
from jaxseg.ops.padding import valid_mask, zero_padding
from jaxseg.ops.resize import resize_logits


class FCNHead(nn.Module):
    """A 3x3 convolution to a quarter of the channels, norm, ReLU, dropout, scores: ``[b, h, w, c] -> [b, h, w, k]``.

    Attributes:
      classes: number of classes, k.
      norm: makes a norm.
      dropout: share of activations dropped in training.
      train: whether norms use the statistics of the batch, and dropout is active.
      dtype: type of the computation.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.
    """

    classes: int
    norm: Callable[..., nn.Module]
    dropout: float
    train: bool
    dtype: Dtype
    cpu_kernels: bool

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        options = {"dtype": self.dtype, "cpu_kernels": self.cpu_kernels}
        x = convolution(x.shape[-1] // 4, 3, **options, name="conv")(zero_padding(x, mask))
        x = nn.relu(self.norm(name="norm")(x, mask))
        x = nn.Dropout(self.dropout, deterministic=not self.train)(x)
        return Conv(self.classes, 1, **options, name="score")(x)


class FCNResNet(nn.Module):
    """An FCN on a ResNet of output stride 8.

    Attributes:
      classes: number of classes, k; 21 in torchvision's weights.
      depth: depth of the ResNet: 50 or 101.
      width: channels of the ResNet's stem; 64 in the paper, fewer for small machines.
      dropout: share of activations dropped before the scores.
      auxiliary: whether there is a second head, on layer3; its loss helps training.
      remat: whether the backward pass computes the activations of blocks again instead of storing them.
      dtype: type of the computation; parameters, statistics and logits are float32.
      axis_name: the axis over which pmap's devices share batch statistics; jit needs none.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.

    Example:
      >>> model, image = FCNResNet(classes=4, width=8), jnp.zeros((1, 64, 96, 3))
      >>> outputs, variables = jax.eval_shape(partial(model.init_with_output, train=False), jax.random.key(0), image)
      >>> {name: logits.shape for name, logits in outputs.items()}
      {'aux_logits': (1, 64, 96, 4), 'logits': (1, 64, 96, 4)}
    """

    classes: int = 21
    depth: int = 50
    width: int = 64
    dropout: float = 0.1
    auxiliary: bool = True
    remat: bool = False
    dtype: Dtype = jnp.float32
    axis_name: str | None = None
    cpu_kernels: bool = False

    coarsest_stride = 8  # pixels from one position of the coarsest map to the next

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool, extents: jax.Array | None = None) -> dict[str, jax.Array]:
        """Computes the logits of each pixel's class.

        Args:
          image: float ``[b, h, w, 3]``, normalized.
          train: whether norms use and update the statistics of this batch, and dropout is active.
          extents: int32 ``[b, 2]``, the size of each image if the batch pads it, see ``ops/padding.py``.

        Returns:
          "logits" and, with an auxiliary head, "aux_logits": float32 ``[b, h, w, k]``.
        """
        size = image.shape[1:3]
        backbone = ResNet(
            self.depth,
            width=self.width,
            output_stride=8,
            remat=self.remat,
            dtype=self.dtype,
            axis_name=self.axis_name,
            cpu_kernels=self.cpu_kernels,
            name="backbone",
        )
        features = backbone(image, train=train, extents=extents)
        mask = valid_mask(extents, features["layer4"].shape[1:3], 8)
        norm = norm_layer("batch", train=train, dtype=self.dtype, axis_name=self.axis_name)
        head = partial(FCNHead, self.classes, norm, self.dropout, train, self.dtype, self.cpu_kernels)
        outputs = {"logits": enlarge(head(name="classifier")(features["layer4"], mask), extents, size)}
        if self.auxiliary:
            outputs["aux_logits"] = enlarge(head(name="aux_classifier")(features["layer3"], mask), extents, size)
        return outputs


def enlarge(x: jax.Array, extents: jax.Array | None, size: tuple[int, int]) -> jax.Array:
    """Resizes scores at stride 8, ``[b, h, w, k]``, to the pixels of their images, ``[b, *size, k]``."""
    return resize_bilinear(x, size) if extents is None else resize_logits(x, -(-extents // 8), extents, size)


def resize_bilinear(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Resizes ``[b, h, w, c]`` to ``[b, *size, c]`` in float32 at least: bilinear, half-pixel centers, no antialias."""
    shape = (x.shape[0], *size, x.shape[-1])
    return jax.image.resize(x.astype(jnp.promote_types(x.dtype, jnp.float32)), shape, "linear", antialias=False)

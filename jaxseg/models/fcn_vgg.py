"""FCN-32s, FCN-16s and FCN-8s: a VGG16 with its dense layers as convolutions, and skips that refine its scores.

Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", 2015, section 4.
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype

from jaxseg.models.backbones.vgg import VGG16
from jaxseg.models.layers import Conv
from jaxseg.models.resampling import BilinearUp, pad_to_multiple
from jaxseg.ops.padding import padded_to_stride, valid_mask, zero_padding

SKIPS = {32: (), 16: ("pool4",), 8: ("pool4", "pool3")}  # maps that are scored in addition to fc7, by output stride

KERNEL_INIT = nn.initializers.variance_scaling(2.0, "fan_in", "normal")


class FCNVGG(nn.Module):
    """An FCN on a VGG16.

    The paper pads the image by 100 pixels, so that the 7x7 convolution still has an output, and crops the scores by
    fixed offsets. Here the 7x7 convolution is padded by 3, which keeps the size of its map. The image is padded to
    multiples of 32 at the bottom and the right. Hence every pool halves an even size, and the maps of all skips are
    aligned. An image of 160x160 costs a fifth of the time with the paper's padding.

    Attributes:
      classes: number of classes, k.
      stride: stride of the finest map that is scored: 32, 16 or 8.
      width: channels of VGG16's first stage; 64 in the paper, fewer for small machines.
      hidden: channels of fc6 and fc7.
      batch_norm: whether norms follow the convolutions of VGG16. Without them it hardly learns from random weights.
      dropout: share of activations dropped after fc6 and fc7.
      remat: whether the backward pass computes the activations of blocks again instead of storing them.
      dtype: type of the computation; parameters, statistics, sums of scores and logits are float32.
      axis_name: the axis over which pmap's devices share batch statistics; jit needs none.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.

    Example:
      >>> model, image = FCNVGG(classes=4, width=8, hidden=16), jnp.zeros((1, 60, 90, 3))
      >>> outputs, variables = jax.eval_shape(partial(model.init_with_output, train=False), jax.random.key(0), image)
      >>> {name: logits.shape for name, logits in outputs.items()}
      {'logits': (1, 60, 90, 4)}
    """

    classes: int
    stride: int = 8
    width: int = 64
    hidden: int = 4096
    batch_norm: bool = False
    dropout: float = 0.5
    remat: bool = False
    dtype: Dtype = jnp.float32
    axis_name: str | None = None
    cpu_kernels: bool = False

    coarsest_stride = 32  # pixels from one position of the coarsest map to the next

    def __post_init__(self):
        if self.stride not in SKIPS:
            raise ValueError(f"An FCN has no stride {self.stride}; expected one of {', '.join(map(str, SKIPS))}.")
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool, extents: jax.Array | None = None) -> dict[str, jax.Array]:
        """Computes the logits of each pixel's class.

        Args:
          image: float ``[b, h, w, 3]``, normalized, of any size.
          train: whether norms use and update the statistics of this batch, and dropout is active.
          extents: int32 ``[b, 2]``, the size of each image if the batch pads it, see ``ops/padding.py``.

        Returns:
          ``{"logits": float32 [b, h, w, k]}``.
        """
        height, width = image.shape[1:3]
        backbone = VGG16(
            self.batch_norm,
            self.width,
            remat=self.remat,
            dtype=self.dtype,
            axis_name=self.axis_name,
            cpu_kernels=self.cpu_kernels,
            name="backbone",
        )
        extents = None if extents is None else padded_to_stride(extents)
        features = backbone(pad_to_multiple(image, 32), train=train, extents=extents)
        mask = valid_mask(extents, features["pool5"].shape[1:3], 32)
        features["fc7"] = self._classifier(zero_padding(features["pool5"], mask), train)

        # Zeros, as in the paper: adding a new score layer does not change a trained sum.
        score = partial(self._conv, self.classes, 1, kernel_init=nn.initializers.zeros)
        name, stride = "fc7", 32
        scores = score(name="score_fc7")(features["fc7"]).astype(jnp.float32)
        for skip in SKIPS[self.stride]:
            scores = BilinearUp(2, name=f"up_{name}_x2")(zero_padding(scores, mask))
            scores += score(name=f"score_{skip}")(features[skip]).astype(jnp.float32)
            name, stride = skip, stride // 2
            mask = valid_mask(extents, scores.shape[1:3], stride)
        logits = BilinearUp(stride, name=f"up_{name}_x{stride}")(zero_padding(scores, mask))
        return {"logits": logits[:, :height, :width]}

    def _classifier(self, x: jax.Array, train: bool) -> jax.Array:
        """Applies the dense layers of VGG16 as convolutions, 7x7 and 1x1: ``[b, h, w, c] -> [b, h, w, hidden]``."""
        for name, size in (("fc6", 7), ("fc7", 1)):
            x = self._conv(self.hidden, size, kernel_init=KERNEL_INIT, name=name)(x)
            x = nn.Dropout(self.dropout, deterministic=not train)(nn.relu(x))
        return x

    def _conv(self, features: int, kernel_size: int, **options: Any) -> Conv:
        """Makes a convolution of this network."""
        return Conv(features, kernel_size, dtype=self.dtype, cpu_kernels=self.cpu_kernels, **options)

"""A U-Net with a ResNet as its encoder, so that it can start from a network trained on ImageNet.

Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015, with the stages of
He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", 2016, on the way down.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype

from jaxseg.models.backbones.resnet import ResNet
from jaxseg.models.blocks import HE_FAN_OUT, ConvBlock
from jaxseg.models.layers import Conv
from jaxseg.models.norms import norm_layer
from jaxseg.models.resampling import UpConv2x2, pad_to_multiple
from jaxseg.ops.padding import padded_to_stride, valid_mask

SKIPS = ("layer3", "layer2", "layer1", "stem")  # from coarse to fine, strides 16 to 2


class UNetResNet(nn.Module):
    """A U-Net on a ResNet 18, 34 or 50 (or 101): skips from the stem and from each stage but the last.

    The decoder has 4 times ``width`` channels at stride 16 and half as many at each doubling; the last doubling, to the
    image's own resolution, has no skip.

    Attributes:
      classes: number of classes, k.
      depth: of the ResNet.
      width: channels of the ResNet's stem; 64 in the paper, fewer for small machines.
      norm: of the encoder, "batch" or "frozen"; the decoder, which starts from nothing, has live ones.
      remat: whether the backward pass computes the activations of blocks again instead of storing them.
      dtype: type of the computation; parameters, statistics and logits are float32.
      axis_name: the axis over which pmap's devices share batch statistics; jit needs none.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.
    """

    classes: int
    depth: int = 34
    width: int = 64
    norm: str = "batch"
    remat: bool = False
    dtype: Dtype = jnp.float32
    axis_name: str | None = None
    cpu_kernels: bool = False

    coarsest_stride = 32  # pixels from one position of the coarsest map to the next

    def __post_init__(self):
        if self.width % 4:
            raise ValueError(f"A U-Net on a ResNet has no width {self.width}; expected a multiple of 4.")
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool, extents: jax.Array | None = None) -> dict[str, jax.Array]:
        """Computes the logits of each pixel's class.

        Args:
          image: float ``[b, h, w, 3]``, normalized, of any size; inside, zeros fill it up to a multiple of 32.
          train: whether live norms use the statistics of this batch.
          extents: the size of each image, if the batch pads it, see ``ops/padding.py``.

        Returns:
          ``{"logits": float32 [b, h, w, k]}``.
        """
        height, width = image.shape[1:3]
        shared = {"dtype": self.dtype, "axis_name": self.axis_name}
        computing = {"dtype": self.dtype, "cpu_kernels": self.cpu_kernels}
        backbone = ResNet(
            self.depth,
            width=self.width,
            norm=self.norm,
            remat=self.remat,
            axis_name=self.axis_name,
            name="backbone",
            **computing,
        )
        block = nn.remat(ConvBlock) if self.remat else ConvBlock
        block = partial(block, norm=norm_layer("batch", train=train, **shared), **computing)

        extents = None if extents is None else padded_to_stride(extents)
        features = backbone(pad_to_multiple(image, 32), train=train, extents=extents)
        x = features["layer4"]
        for i, skip in enumerate((*SKIPS, None)):
            channels = self.width * 4 >> i
            level = skip or "image"
            x = UpConv2x2(channels, HE_FAN_OUT, name=f"up_{level}", **computing)(x)
            if skip:
                x = jnp.concatenate([features[skip], x], axis=-1)
            mask = valid_mask(extents, x.shape[1:3], 16 >> i)
            for j in (1, 2):
                x = block(channels, name=f"decoder_{level}_{j}")(x, mask)

        logits = Conv(self.classes, 1, name="head", **computing)(x).astype(jnp.float32)
        return {"logits": logits[:, :height, :width]}

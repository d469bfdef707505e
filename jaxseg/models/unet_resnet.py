"""A U-Net with a ResNet encoder, which can be initialized from a network trained on ImageNet.

Decoder: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015. Encoder:
He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", 2016.
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
    """A U-Net on a ResNet, with skips from the stem and from each stage except the last.

    The decoder has ``4 * width`` channels at stride 16 and half of that at each doubling. The last doubling, to the
    resolution of the image, has no skip.

    Attributes:
      classes: number of classes, k.
      depth: depth of the ResNet: 18, 34, 50 or 101.
      width: channels of the ResNet's stem; 64 in the paper, fewer for small machines.
      norm: norms of the encoder, "batch" or "frozen". The decoder has random initial weights and always uses "batch".
      remat: whether the backward pass computes the activations of blocks again instead of storing them.
      dtype: type of the computation; parameters, statistics and logits are float32.
      axis_name: the axis over which pmap's devices share batch statistics; jit needs none.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.

    Example:
      >>> model, image = UNetResNet(classes=4, depth=18, width=8), jnp.zeros((1, 60, 90, 3))
      >>> outputs, variables = jax.eval_shape(partial(model.init_with_output, train=False), jax.random.key(0), image)
      >>> {name: logits.shape for name, logits in outputs.items()}
      {'logits': (1, 60, 90, 4)}
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
          image: float ``[b, h, w, 3]``, normalized, of any size. The model pads it with zeros to multiples of 32.
          train: whether norms of the kind "batch" use and update the statistics of this batch.
          extents: int32 ``[b, 2]``, the size of each image if the batch pads it, see ``ops/padding.py``.

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

"""ResNet 18, 34, 50 and 101 as backbones, in the form v1.5: the 3x3 convolution of a bottleneck has the stride.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", 2016. Dilation in place of strides as in Chen et
al., "Rethinking Atrous Convolution", 2017, section 3.1.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype

from jaxseg.models.layers import Conv
from jaxseg.models.norms import norm_layer
from jaxseg.models.resampling import larger
from jaxseg.ops.padding import valid_mask, zero_padding

LAYERS = ("layer1", "layer2", "layer3", "layer4")

KERNEL_INIT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: ``[b, h, w, c] -> [b, h / stride, w / stride, features]``.

    Attributes:
      features: channels of the convolutions and of the output.
      stride: stride of the first convolution.
      dilation: must be 1; torchvision has no dilated basic block.
      conv: makes a convolution with a padding of half its kernel.
      norm: makes a norm.
    """

    features: int
    stride: int
    dilation: int
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    expansion = 1

    @nn.compact
    def __call__(self, x: jax.Array, before: jax.Array | None, after: jax.Array | None) -> jax.Array:
        """Applies the block; ``before`` and ``after`` are the valid positions of the input and of the output."""
        y = self.conv(self.features, 3, stride=self.stride, name="conv1")(zero_padding(x, before))
        y = nn.relu(self.norm(name="bn1")(y, mask=after))
        y = self.conv(self.features, 3, name="conv2")(zero_padding(y, after))
        y = self.norm(name="bn2")(y, mask=after)
        return nn.relu(y + shortcut(self, x, after))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut: ``[b, h, w, c] -> [b, h / stride, w / stride, 4 features]``.

    Attributes: as of ``BasicBlock``; ``dilation`` and ``stride`` are those of the 3x3 convolution.
    """

    features: int
    stride: int
    dilation: int
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    expansion = 4

    @nn.compact
    def __call__(self, x: jax.Array, before: jax.Array | None, after: jax.Array | None) -> jax.Array:
        """Applies the block; ``before`` and ``after`` are the valid positions of the input and of the output."""
        y = self.conv(self.features, 1, name="conv1")(x)
        y = nn.relu(self.norm(name="bn1")(y, mask=before))
        y = self.conv(self.features, 3, stride=self.stride, dilation=self.dilation, name="conv2")(
            zero_padding(y, before)
        )
        y = nn.relu(self.norm(name="bn2")(y, mask=after))
        y = self.conv(self.features * self.expansion, 1, name="conv3")(y)
        y = self.norm(name="bn3")(y, mask=after)
        return nn.relu(y + shortcut(self, x, after))


def shortcut(block: BasicBlock | Bottleneck, x: jax.Array, after: jax.Array | None) -> jax.Array:
    """Returns a block's input, projected where its output has another shape."""
    features = block.features * block.expansion
    if block.stride == 1 and x.shape[-1] == features:
        return x
    x = block.conv(features, 1, stride=block.stride, name="downsample_conv")(x)
    return block.norm(name="downsample_norm")(x, mask=after)


BLOCKS = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}


class ResNet(nn.Module):
    """A ResNet that returns its features by name.

    Attributes:
      depth: 18, 34, 50 or 101.
      width: channels of the stem; 64 in the paper, fewer for small machines.
      output_stride: stride of the last layer: 32, or 16 or 8, where dilation replaces the last one or two strides.
      classes: number of classes of a classifier that adds its logits to the features; 0 disables it.
      norm: kind of the norms, "batch" or "frozen".
      norm_epsilon: number that is added to the variance.
      trainable_layers: 5 trains all; 4 stops gradients above the stem, 3 above layer1, ..., 0 above layer4.
      remat: whether the backward pass computes the activations of blocks again instead of storing them.
      dtype: type of the computation; parameters and statistics are float32.
      axis_name: the axis over which pmap's devices share batch statistics; jit needs none.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.

    Example:
      >>> model, image = ResNet(18, width=8), jnp.zeros((1, 64, 96, 3))
      >>> features, _ = jax.eval_shape(partial(model.init_with_output, train=False), jax.random.key(0), image)
      >>> features["stem"].shape, features["layer1"].shape, features["layer4"].shape
      ((1, 32, 48, 8), (1, 16, 24, 8), (1, 2, 3, 64))
    """

    depth: int = 50
    width: int = 64
    output_stride: int = 32
    classes: int = 0
    norm: str = "batch"
    norm_epsilon: float = 1e-5
    trainable_layers: int = 5
    remat: bool = False
    dtype: Dtype = jnp.float32
    axis_name: str | None = None
    cpu_kernels: bool = False

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool, extents: jax.Array | None = None) -> dict[str, jax.Array]:
        """Computes the features of normalized images.

        Args:
          image: float ``[b, h, w, 3]``.
          train: whether norms of the kind "batch" use and update the statistics of this batch.
          extents: the valid part of each image, see ``ops/padding.py``.

        Returns:
          "stem" ``[b, h / 2, w / 2, width]`` and "layer1" to "layer4" at strides 4, 8, 16, 32 (or the output stride)
          with 1, 2, 4, 8 times ``width`` channels, or four times as many with bottlenecks. With a classifier also
          "logits", float32 ``[b, classes]``. Values beyond the extents are undefined.
        """
        norm = norm_layer(self.norm, train=train, epsilon=self.norm_epsilon, dtype=self.dtype, axis_name=self.axis_name)
        conv = partial(convolution, dtype=self.dtype, cpu_kernels=self.cpu_kernels)
        if self.depth not in BLOCKS:
            raise ValueError(f"model.depth is {self.depth}; expected one of {', '.join(map(str, BLOCKS))}, a ResNet.")
        kind, counts = BLOCKS[self.depth]
        block = partial(nn.remat(kind) if self.remat else kind, conv=conv, norm=norm)

        x = conv(self.width, 7, stride=2, name="conv1")(image.astype(self.dtype))
        mask = valid_mask(extents, x.shape[1:3], 2)
        x = nn.relu(norm(name="bn1")(x, mask=mask))
        features = {"stem": self._stopped(x, 0)}
        x = max_pool_3x3(zero_padding(features["stem"], mask))

        stride, dilation = 4, 1
        for i, (name, count) in enumerate(zip(LAYERS, counts, strict=True)):
            width, step = self.width << i, 2 if i and stride < self.output_stride else 1
            before = valid_mask(extents, x.shape[1:3], stride)
            stride *= step
            after = valid_mask(extents, [-(-length // step) for length in x.shape[1:3]], stride)
            x = block(width, step, dilation, name=f"{name}_0")(x, before, after)
            if i and step == 1:  # in place of a stride, from the next block on
                dilation *= 2
            for j in range(1, count):
                x = block(width, 1, dilation, name=f"{name}_{j}")(x, after, after)
            x = features[name] = self._stopped(x, i + 1)
        if self.classes:
            logits = nn.Dense(self.classes, dtype=self.dtype, name="fc")(x.mean(axis=(1, 2)))
            features["logits"] = logits.astype(jnp.float32)
        return features

    def _stopped(self, x: jax.Array, i: int) -> jax.Array:
        """Stops the gradient of ``x``, the output of stage ``i`` (0 is the stem), if the stages so far are frozen."""
        return jax.lax.stop_gradient(x) if i + self.trainable_layers < 5 else x


def frozen_modules(trainable_layers: int) -> tuple[str, ...]:
    """Returns prefixes of the names of modules that are not trained, see ``ResNet.trainable_layers``.

    Example:
      >>> frozen_modules(3)
      ('conv1/', 'bn1/', 'layer1_')
    """
    stages = (("conv1/", "bn1/"), *((f"{layer}_",) for layer in LAYERS))
    return tuple(name for stage in stages[: 5 - trainable_layers] for name in stage)


def convolution(features: int, kernel_size: int, **options: Any) -> Conv:
    """Makes a convolution without a bias; the other options are those of ``Conv``."""
    return Conv(features, kernel_size, use_bias=False, kernel_init=KERNEL_INIT, **options)


def max_pool_3x3(x: jax.Array) -> jax.Array:
    """Computes the maximum over 3x3 windows of stride 2 of a map without negative numbers: ``[b, ⌈h/2⌉, ⌈w/2⌉, c]``.

    The maximum of strided slices: its gradient needs no select-and-scatter, which is slow on CPUs.
    """
    rows, columns = (x.shape[1] + 1) // 2 * 2, (x.shape[2] + 1) // 2 * 2
    x = jnp.pad(x, ((0, 0), (1, rows - x.shape[1]), (1, columns - x.shape[2]), (0, 0)))
    x = larger(larger(x[:, 0:rows:2], x[:, 1 : rows + 1 : 2]), x[:, 2 : rows + 1 : 2])
    return larger(larger(x[:, :, 0:columns:2], x[:, :, 1 : columns + 1 : 2]), x[:, :, 2 : columns + 1 : 2])

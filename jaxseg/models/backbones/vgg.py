"""VGG16, with and without batch norm, as a backbone.

Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2015, configuration D.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype

from jaxseg.models.layers import Conv
from jaxseg.models.norms import norm_layer
from jaxseg.models.resampling import max_pool_2x2
from jaxseg.ops.padding import valid_mask, zero_padding

STAGES = (2, 2, 3, 3, 3)  # number of 3x3 convolutions before each pool
GROWTH = (1, 2, 4, 8, 8)  # channels of each stage, as multiples of the width

KERNEL_INIT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class VGG16(nn.Module):
    """A VGG16 that returns its features by name.

    Attributes:
      batch_norm: whether a norm follows each convolution. The convolutions keep their bias, as torchvision's do.
      width: channels of the first stage; 64 in the paper, fewer for small machines.
      classes: number of classes of a classifier that adds its logits to the features; 0 disables it.
      remat: whether the backward pass computes the activations of blocks again instead of storing them.
      dtype: type of the computation; parameters and statistics are float32.
      axis_name: the axis over which pmap's devices share batch statistics; jit needs none.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.

    Example:
      >>> model, image = VGG16(width=8), jnp.zeros((1, 64, 96, 3))
      >>> features, _ = jax.eval_shape(partial(model.init_with_output, train=False), jax.random.key(0), image)
      >>> features["pool1"].shape, features["pool5"].shape
      ((1, 32, 48, 8), (1, 2, 3, 64))
    """

    batch_norm: bool = False
    width: int = 64
    classes: int = 0
    remat: bool = False
    dtype: Dtype = jnp.float32
    axis_name: str | None = None
    cpu_kernels: bool = False

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool, extents: jax.Array | None = None) -> dict[str, jax.Array]:
        """Computes the features of normalized images.

        Args:
          image: float ``[b, h, w, 3]``; with a classifier h and w are 224 to 255.
          train: whether norms use and update the statistics of this batch, and dropout is active.
          extents: the valid part of each image, in multiples of 32, see ``ops/padding.py``.

        Returns:
          "pool1" to "pool5": ``[b, h / 2, w / 2, 64]`` to ``[b, h / 32, w / 32, 512]``, without an odd last row or
          column. With a classifier also "logits", float32 ``[b, classes]``.
        """
        stage = nn.remat(VGG16._stage, static_argnums=(2, 3)) if self.remat else VGG16._stage
        x = image.astype(self.dtype)
        features = {}
        for i in range(1, len(STAGES) + 1):
            mask = valid_mask(extents, x.shape[1:3], 1 << (i - 1))
            x = features[f"pool{i}"] = stage(self, x, i, train, mask)
        if self.classes:
            features["logits"] = self._classifier(x, train)
        return features

    def _stage(self, x: jax.Array, i: int, train: bool, mask: jax.Array | None) -> jax.Array:
        """Applies the convolutions of stage ``i``, and halves the resolution."""
        norm = norm_layer("batch", train=train, dtype=self.dtype, axis_name=self.axis_name)
        conv = partial(Conv, kernel_size=3, kernel_init=KERNEL_INIT, dtype=self.dtype, cpu_kernels=self.cpu_kernels)
        width = self.width * GROWTH[i - 1]
        for j in range(1, STAGES[i - 1] + 1):
            x = conv(width, name=f"conv{i}_{j}")(zero_padding(x, mask))
            if self.batch_norm:
                x = norm(name=f"bn{i}_{j}")(x, mask)
            x = nn.relu(x)
        return max_pool_2x2(x)

    def _classifier(self, x: jax.Array, train: bool) -> jax.Array:
        """Applies the classifier, ``[b, 7, 7, c] -> [b, classes]``; FCNs slide its first layer over a map."""
        x = nn.DenseGeneral(self.width * 64, axis=(1, 2, 3), dtype=self.dtype, name="fc6")(x)
        x = nn.Dropout(0.5, deterministic=not train)(nn.relu(x))
        x = nn.Dense(self.width * 64, dtype=self.dtype, name="fc7")(x)
        x = nn.Dropout(0.5, deterministic=not train)(nn.relu(x))
        return nn.Dense(self.classes, dtype=self.dtype, name="fc8")(x).astype(jnp.float32)

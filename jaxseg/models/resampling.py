"""Halving, doubling and cropping of feature maps, shared by the models.

The 2x2 layers are written so that their gradients are as cheap as they are: neither a select-and-scatter (slow on CPUs
and without a deterministic form on GPUs) nor a dilated convolution appears in them.
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype, Initializer


def max_pool_2x2(x: jax.Array) -> jax.Array:
    """Maximum over 2x2 windows of stride 2: ``[b, h, w, c] -> [b, h // 2, w // 2, c]``.

    An odd last row or column is left out.
    """
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    rows = jnp.maximum(x[:, 0:height:2], x[:, 1:height:2])
    return jnp.maximum(rows[:, :, 0:width:2], rows[:, :, 1:width:2])


def center_crop(x: jax.Array, height: int, width: int) -> jax.Array:
    """The central ``[b, height, width, ...]`` of ``[b, h, w, ...]``, a feature map or a label map.

    Where the margin is odd, the larger part of it is cut off at the bottom and the right.
    """
    chex.assert_axis_dimension_gteq(x, 1, height)
    chex.assert_axis_dimension_gteq(x, 2, width)
    top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
    return x[:, top : top + height, left : left + width]


class UpConv2x2(nn.Module):
    """Transposed 2x2 convolution of stride 2: ``[b, h, w, c] -> [b, 2h, 2w, features]``.

    With a kernel as large as the stride no two outputs of a pixel overlap, so the layer is one matrix product and a
    shuffle: ``y[2i + r, 2j + s] = x[i, j] @ kernel[r, s] + bias``.

    Attributes:
      features: channels of the output.
      kernel_init: initialiser of the kernel, ``[2, 2, c, features]``.
      dtype: type of the computation; parameters are float32.
    """

    features: int
    kernel_init: Initializer
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        b, h, w, c = x.shape
        kernel = self.param("kernel", self.kernel_init, (2, 2, c, self.features), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        x, kernel, bias = (a.astype(self.dtype) for a in (x, kernel, bias))
        y = jnp.einsum("bhwc,rscf->bhrwsf", x, kernel)
        return y.reshape(b, 2 * h, 2 * w, self.features) + bias[None, None, None]

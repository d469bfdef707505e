"""Feature pyramid network: maps at several strides, all with features of the deepest layers.

Lin et al., "Feature Pyramid Networks for Object Detection", 2017, section 3.
"""

from collections.abc import Callable, Sequence

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype

from jaxseg.models.blocks import LECUN_UNIFORM, ConvBlock
from jaxseg.ops.padding import valid_mask

STRIDES = (4, 8, 16, 32, 64)  # of P2 to P6


class FPN(nn.Module):
    """Lateral 1x1 convolutions, a top-down pathway, a 3x3 convolution on each level, and one additional level.

    Attributes:
      channels: channels of every level of the pyramid.
      norm: makes the norm after each convolution; None: the convolutions have biases.
      dtype: type of the computation; parameters are float32.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.

    Example:
      >>> features = [jnp.zeros((1, 64 // s, 64 // s, s)) for s in STRIDES[:4]]
      >>> pyramid, variables = jax.eval_shape(FPN(channels=8).init_with_output, jax.random.key(0), features)
      >>> [level.shape for level in pyramid]
      [(1, 16, 16, 8), (1, 8, 8, 8), (1, 4, 4, 8), (1, 2, 2, 8), (1, 1, 1, 8)]
    """

    channels: int = 256
    norm: Callable[..., nn.Module] | None = None
    dtype: Dtype = jnp.float32
    cpu_kernels: bool = False

    @nn.compact
    def __call__(self, features: Sequence[jax.Array], extents: jax.Array | None = None) -> tuple[jax.Array, ...]:
        """Computes the pyramid of a backbone's features.

        Args:
          features: C2 to C5, ``[b, h / s, w / s, c]`` for s = 4, 8, 16, 32.
          extents: the part of each image that counts, see ``ops/padding.py``.

        Returns:
          P2 to P6, ``[b, h / s, w / s, channels]`` for s = 4 to 64; P6 is every second position of P5.
        """

        def block(name: str, kernel: int) -> ConvBlock:
            return ConvBlock(
                self.channels, kernel, self.norm, False, LECUN_UNIFORM, self.dtype, self.cpu_kernels, name=name
            )

        masks = [valid_mask(extents, x.shape[1:3], stride) for x, stride in zip(features, STRIDES, strict=False)]
        levels = []
        above = None
        for i in reversed(range(len(features))):
            x = block(f"inner_{i}", 1)(features[i], masks[i])
            if above is not None:
                chex.assert_equal(x.shape[1:3], (2 * above.shape[1], 2 * above.shape[2]))
                x += above.repeat(2, axis=1).repeat(2, axis=2)
            above = x
            levels.append(block(f"layer_{i}", 3)(x, masks[i]))
        return (*reversed(levels), levels[0][:, ::2, ::2])

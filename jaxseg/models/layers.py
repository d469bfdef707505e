"""The convolution layer of all models."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype, Initializer

from jaxseg.ops.convolution import convolve


class Conv(nn.Module):
    """A convolution: ``[b, h, w, c] -> [b, h', w', features]``.

    Its parameters are those of ``nn.Conv``: "kernel" ``[kernel_size, kernel_size, c, features]`` and "bias".

    Attributes:
      features: channels of the output.
      kernel_size: rows and columns of the kernel.
      stride: distance of two neighboring windows, in pixels.
      dilation: distance of two neighboring pixels in a window.
      padding: rows and columns of zeros on each side. None keeps the size where the stride is 1 and the kernel odd.
      use_bias: whether to add a bias.
      kernel_init: initializer of the kernel.
      dtype: type of the computation; parameters are float32.
      cpu_kernels: whether to use the form that is fast on one CPU device, see ``ops/convolution.py``.
    """

    features: int
    kernel_size: int
    stride: int = 1
    dilation: int = 1
    padding: int | None = None
    use_bias: bool = True
    kernel_init: Initializer = nn.linear.default_kernel_init
    dtype: Dtype = jnp.float32
    cpu_kernels: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns the feature maps of ``x [b, h, w, c]``."""
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        padding = (self.kernel_size - 1) // 2 * self.dilation if self.padding is None else self.padding
        y = convolve(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            stride=self.stride,
            padding=padding,
            dilation=self.dilation,
            cpu_kernels=self.cpu_kernels,
        )
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            y = y + bias.astype(self.dtype)[None, None, None]
        return y

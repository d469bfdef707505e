"""The block of the detector's pyramid and heads: convolution, norm and ReLU."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype, Initializer

from jaxseg.models.layers import Conv
from jaxseg.ops.padding import zero_padding

# In PyTorch: kaiming_normal_(mode="fan_out"), kaiming_uniform_(a=1), and the initializer of a linear layer.
HE_FAN_OUT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
LECUN_UNIFORM = nn.initializers.variance_scaling(1.0, "fan_in", "uniform")
LINEAR = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class ConvBlock(nn.Module):
    """Convolution, norm or bias, and ReLU: ``[b, h, w, c] -> [b, h, w, features]``.

    Attributes:
      features: channels of the output.
      kernel: rows and columns of the kernel, odd.
      norm: makes the norm; None: the convolution has a bias instead.
      activation: whether a ReLU follows.
      kernel_init: initializer of the kernel.
      dtype: type of the computation; parameters are float32.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.
    """

    features: int
    kernel: int = 3
    norm: Callable[..., nn.Module] | None = None
    activation: bool = True
    kernel_init: Initializer = HE_FAN_OUT
    dtype: Dtype = jnp.float32
    cpu_kernels: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Applies the block; positions where ``mask`` is False neither leak nor enter statistics."""
        x = Conv(
            self.features,
            self.kernel,
            use_bias=self.norm is None,
            kernel_init=self.kernel_init,
            dtype=self.dtype,
            cpu_kernels=self.cpu_kernels,
            name="conv",
        )(zero_padding(x, mask))
        if self.norm is not None:
            x = self.norm(name="norm")(x, mask=mask)
        return nn.relu(x) if self.activation else x

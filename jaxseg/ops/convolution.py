"""A convolution in two forms: XLA's own, and one that is fast on a CPU, with its gradients.

XLA's CPU backend convolves about as fast as it multiplies matrices. It computes the gradient of a kernel as a
convolution with a window as large as the feature map. That takes many times as long; the benchmarks' README has times.
The CPU form replaces what is slow:

- A 1x1 convolution and its gradients are matrix products.
- A 3x3 convolution of stride 1 with many channels uses Winograd's algorithm, see ``winograd.py``. A dilated one is
  ``dilation ** 2`` plain ones on every ``dilation``-th pixel.
- Where a kernel takes more memory than all its windows, windows and kernel are one product. Examples are fc6 of FCN-VGG
  and the last stage of a ResNet on small images. Winograd's transforms would make the kernel 4 times as large.
- Other kernel gradients are sums of matrix products over blocks of rows, see ``convolution_gradients.py``.
- The input gradient of stride 2 is four convolutions of stride 1, instead of one over a map filled with zeros.

The two forms agree up to rounding. The CPU form cuts through the batch and the rows, so an array that is divided over
devices would be gathered. It is for one device only.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxseg.ops import convolution_gradients as gradients
from jaxseg.ops import winograd

# With fewer channels, XLA's forms are faster, except for the kernel gradient of 3x3 kernels of stride 1. That one is
# computed from whole windows down to MIN_WINDOW_CHANNELS. On one core of a Xeon with AVX-512 (jax 0.10.2), windows take
# 13 ms with 16 channels at 4 x 160 x 160, where XLA takes 15. They take 29 ms with 96 and 32 channels at 4 x 80 x 80,
# where XLA takes 38.
MIN_BLOCKED_CHANNELS = 48
MIN_WINDOW_CHANNELS = 16

# With fewer channels or on larger maps, Winograd's transforms cost more than the products save. On two cores of an EPYC
# (jax 0.10.2), in turns in one process, a step of the U-Net of 64 features (4 x 160 x 160) took 821 ms and 929 MiB. It
# took 826 and 1051 with 64 x 64 channels too, 832 and 1032 with maps of 2**25 elements, 849 and 1114 with both.
MIN_WINOGRAD_PRODUCTS = 64 * 128
MAX_WINOGRAD_ELEMENTS = 2**23  # per map, 32 MiB in float32
MANY_CHANNELS = 256  # with this many on both sides, the products always save more than the transforms cost


class Geometry(NamedTuple):
    """How a kernel moves over a map.

    Attributes:
      stride: distance of two neighboring windows, in pixels.
      padding: rows and columns of zeros on each side of the map.
      dilation: distance of two neighboring pixels in a window.
    """

    stride: int = 1
    padding: int = 0
    dilation: int = 1


def convolve(
    x: jax.Array, kernel: jax.Array, *, stride: int = 1, padding: int = 0, dilation: int = 1, cpu_kernels: bool = False
) -> jax.Array:
    """Convolves ``x [b, h, w, c]`` with a ``kernel [r, s, c, f]``: ``[b, h', w', f]``.

    ``y[i, j] = sum over r, s of x[stride i + dilation r - padding, stride j + dilation s - padding] @ kernel[r, s]``

    Args:
      x: the feature maps.
      kernel: the weights.
      stride: distance of two neighboring windows, in pixels.
      padding: rows and columns of zeros on each side of the map.
      dilation: distance of two neighboring pixels in a window.
      cpu_kernels: whether to use the form that is fast on one CPU device.

    Example:
      >>> import jax.numpy as jnp
      >>> convolve(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), stride=2, padding=1)[0, :, :, 0].tolist()
      [[4.0, 6.0], [6.0, 9.0]]
    """
    geometry = Geometry(stride, padding, dilation)
    return cpu_convolve(x, kernel, geometry) if cpu_kernels else xla_convolve(x, kernel, geometry)


def xla_convolve(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """Convolves by XLA's own operation, see ``convolve``."""
    stride, padding, dilation = geometry
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(padding, padding)] * 2,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def cpu_convolve(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """Convolves in the form that is fast on a CPU, see ``convolve``."""
    if _is_matrix_product(kernel, geometry):
        x = x[:, :: geometry.stride, :: geometry.stride]
        return (x.reshape(-1, x.shape[-1]) @ kernel[0, 0]).reshape(*x.shape[:-1], -1)
    if _is_larger_than_windows(x, kernel, geometry):
        return _convolve_by_windows(x, kernel, geometry)
    if _suits_winograd(x, kernel, geometry):
        return winograd.convolve(x, kernel, geometry.padding, geometry.dilation)
    return xla_convolve(x, kernel, geometry)


def _forward(x, kernel, geometry):
    return cpu_convolve(x, kernel, geometry), (x, kernel)


def _backward(geometry, saved, dy):
    x, kernel = saved
    return _input_gradient(x, kernel, dy, geometry), _kernel_gradient(x, kernel, dy, geometry)


cpu_convolve.defvjp(_forward, _backward)


def _input_gradient(x, kernel, dy, geometry):
    stride, padding, dilation = geometry
    if _is_matrix_product(kernel, geometry):
        dx = (dy.reshape(-1, dy.shape[-1]) @ kernel[0, 0].T).reshape(*dy.shape[:-1], -1)
        return gradients.spread(dx, stride, x.shape[1:3])
    if _is_larger_than_windows(x, kernel, geometry):
        return jax.linear_transpose(lambda x: _convolve_by_windows(x, kernel, geometry), x)(dy)[0]
    if _suits_winograd(x, kernel, geometry):
        return winograd.input_gradient(dy, kernel, padding, dilation)
    if stride > 1 and dilation == 1 and _has_many_channels(kernel):
        return gradients.strided_input_gradient(dy, kernel, stride, padding, x.shape[1:3])
    return jax.vjp(lambda x: xla_convolve(x, kernel, geometry), x)[1](dy)[0]


def _kernel_gradient(x, kernel, dy, geometry):
    stride, padding, dilation = geometry
    if _is_matrix_product(kernel, geometry):
        x = x[:, ::stride, ::stride]
        product = lax.dot_general(x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1]), (((0,), (0,)), ((), ())))
        return product[None, None]
    if _is_larger_than_windows(x, kernel, geometry):
        return gradients.kernel_gradient(x, dy, kernel.shape[:2], stride, padding, dilation)
    if _suits_winograd(x, kernel, geometry):
        return winograd.kernel_gradient(x, dy, padding, dilation)
    if _has_many_channels(kernel):
        if kernel.shape[:2] == (3, 3) and stride == dilation == 1:
            return gradients.kernel_gradient_3x3(x, dy, padding)
        return gradients.kernel_gradient(x, dy, kernel.shape[:2], stride, padding, dilation)
    if kernel.shape[:2] == (3, 3) and stride == dilation == 1 and min(kernel.shape[2:]) >= MIN_WINDOW_CHANNELS:
        return gradients.kernel_gradient(x, dy, (3, 3), stride, padding, dilation, dy_left=True)
    return jax.vjp(lambda kernel: xla_convolve(x, kernel, geometry), kernel)[1](dy)[0]


def _convolve_by_windows(x, kernel, geometry):
    stride, padding, dilation = geometry
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    return gradients.windows(x, kernel.shape[:2], stride, dilation) @ kernel.reshape(-1, kernel.shape[3])


def _is_larger_than_windows(x, kernel, geometry):
    r, s, c, _ = kernel.shape
    windows = math.prod(x.shape[:3]) * r * s * c // geometry.stride**2
    return r * s > 1 and _has_many_channels(kernel) and windows < kernel.size


def _is_matrix_product(kernel, geometry):
    return kernel.shape[:2] == (1, 1) and geometry.padding == 0


def _has_many_channels(kernel):
    return min(kernel.shape[2:]) >= MIN_BLOCKED_CHANNELS


def _suits_winograd(x, kernel, geometry):
    c, f = kernel.shape[2:]
    stride, padding, dilation = geometry
    possible = kernel.shape[:2] == (3, 3) and stride == 1 and (dilation == 1 or padding == dilation)
    pays = _has_many_channels(kernel) and c * f >= MIN_WINOGRAD_PRODUCTS
    fits = math.prod(x.shape[:3]) * max(c, f) <= MAX_WINOGRAD_ELEMENTS or min(c, f) >= MANY_CHANNELS
    # The sums of the transforms would lose bits that bfloat16 cannot spare.
    return possible and pays and fits and x.dtype != jnp.bfloat16

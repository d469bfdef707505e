"""Halving, doubling and cropping of feature maps, shared by the models.

The gradients of the 2x2 layers are as cheap as the layers. They contain no dilated convolution and no
select-and-scatter, which is slow on CPUs and has no deterministic form on GPUs.
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype, Initializer


def max_pool_2x2(x: jax.Array) -> jax.Array:
    """Computes the maximum over 2x2 windows of stride 2: ``[b, h, w, c] -> [b, h // 2, w // 2, c]``.

    An odd last row or column is dropped.

    Example:
      >>> max_pool_2x2(jnp.array([[1.0, 2.0, 9.0], [3.0, 4.0, 9.0]])[None, :, :, None]).ravel().tolist()
      [4.0]
    """
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    rows = larger(x[:, 0:height:2], x[:, 1:height:2])
    return larger(rows[:, :, 0:width:2], rows[:, :, 1:width:2])


def larger(first: jax.Array, second: jax.Array) -> jax.Array:
    """Returns the larger of two numbers; NaN if one is NaN. The gradient is the larger one's, the first's of equals.

    The gradient of ``jnp.maximum`` asks which number equals the result. XLA may compute a number again in the backward
    pass and round it differently. Then neither is equal, and the gradient of that pixel is lost.

    Example:
      >>> jax.grad(lambda pair: larger(pair[0], pair[1]))(jnp.array([2.0, 2.0])).tolist()
      [1.0, 0.0]
    """
    return jnp.where((first >= second) | jnp.isnan(first), first, second)


def center_crop(x: jax.Array, height: int, width: int) -> jax.Array:
    """Crops the central ``[b, height, width, ...]`` of ``[b, h, w, ...]``, a feature map or a label map.

    If the margin is odd, the larger part of it is at the bottom and the right.

    Example:
      >>> center_crop(jnp.arange(4)[None, None], 1, 1).ravel().tolist()
      [1]
    """
    chex.assert_axis_dimension_gteq(x, 1, height)
    chex.assert_axis_dimension_gteq(x, 2, width)
    top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
    return x[:, top : top + height, left : left + width]


class UpConv2x2(nn.Module):
    """Transposed 2x2 convolution of stride 2: ``[b, h, w, c] -> [b, 2h, 2w, features]``.

    The kernel is as large as the stride, so no outputs of two pixels overlap. Hence the layer is one matrix product and
    a permutation: ``y[2i + r, 2j + s] = x[i, j] @ kernel[r, s] + bias``.

    Attributes:
      features: channels of the output.
      kernel_init: initializer of the kernel, ``[2, 2, c, features]``.
      dtype: type of the computation; parameters are float32.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.
    """

    features: int
    kernel_init: Initializer
    dtype: Dtype = jnp.float32
    cpu_kernels: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        b, h, w, c = x.shape
        kernel = self.param("kernel", self.kernel_init, (2, 2, c, self.features), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        x, kernel, bias = (a.astype(self.dtype) for a in (x, kernel, bias))
        if self.cpu_kernels:  # The gradient takes half the time. An x that is divided over devices would be gathered.
            x = x.reshape(b * h * w, c)
        y = x @ kernel.transpose(2, 0, 1, 3).reshape(c, 4 * self.features)
        y = y.reshape(b, h, w, 2, 2, self.features).swapaxes(2, 3)
        return y.reshape(b, 2 * h, 2 * w, self.features) + bias[None, None, None]


class BilinearUp(nn.Module):
    """A transposed convolution that starts as bilinear interpolation: ``[b, h, w, c] -> [b, factor h, factor w, c]``.

    Its kernel of ``2 factor`` rows and columns can learn to mix the channels. It is initialized to interpolation with
    half-pixel centers, except at the border: values beyond it are zeros, so the result fades out.
    (Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", 2015, section 3.3.)

    Attributes:
      factor: factor of the enlargement, even.
      dtype: type of the computation; parameters are float32.
    """

    factor: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        size, channels = 2 * self.factor, x.shape[-1]
        kernel = self.param("kernel", bilinear_kernel, (size, size, channels, channels), jnp.float32)
        return transposed_convolution(x.astype(self.dtype), kernel.astype(self.dtype), self.factor, self.factor // 2)


def transposed_convolution(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    """Applies a convolution's transpose: ``[b, h, w, c] -> [b, stride (h - 1) + r - 2 padding, ..., f]``.

    Every pixel adds the kernel to the output: ``y[stride i + r - padding] += x[i] @ kernel[r]``, for rows and columns.
    The kernel is cut into pieces of stride x stride pixels, which overlap only as a whole. Hence the layer is one
    matrix product and a sum of a few shifted maps.

    Args:
      x: ``[b, h, w, c]``.
      kernel: ``[r, s, c, f]``.
      stride: pixels of the output per pixel of the input.
      padding: rows and columns that are cropped at each side of the output.

    Example:
      >>> x, kernel = jnp.array([[[[1.0], [2.0]]]]), jnp.ones((1, 3, 1, 1))
      >>> transpose = jax.jit(transposed_convolution, static_argnums=(2, 3))
      >>> transpose(x, kernel, 2, 0).ravel().tolist()  # 1 1 1 and, two pixels later, 2 2 2
      [1.0, 1.0, 3.0, 2.0, 2.0]
    """
    rows, columns = kernel.shape[:2]
    height, width = (stride * (n - 1) + r - 2 * padding for n, r in ((x.shape[1], rows), (x.shape[2], columns)))
    down, right = -(-rows // stride), -(-columns // stride)  # pieces of a stamp
    kernel = jnp.pad(kernel, ((0, down * stride - rows), (0, right * stride - columns), (0, 0), (0, 0)))
    kernel = kernel.reshape(down, stride, right, stride, *kernel.shape[2:])
    pieces = jnp.einsum("bhwc,mrnscf->mnbhrwsf", x, kernel)
    y = sum(
        jnp.pad(pieces[m, n], ((0, 0), (m, down - 1 - m), (0, 0), (n, right - 1 - n), (0, 0), (0, 0)))
        for m in range(down)
        for n in range(right)
    )
    y = y.reshape(y.shape[0], y.shape[1] * stride, y.shape[3] * stride, y.shape[5])
    return y[:, padding : padding + height, padding : padding + width]


def bilinear_kernel(key: jax.Array | None, shape: tuple[int, int, int, int], dtype: Dtype) -> jax.Array:
    """Initializes the kernel of ``BilinearUp``, ``[2n, 2n, c, c]``: bilinear weights per channel.

    Example:
      >>> kernel = bilinear_kernel(None, (4, 4, 1, 1), jnp.float32)
      >>> (kernel[1, :, 0, 0] * 16).tolist()  # sixteenths of the second row
      [3.0, 9.0, 9.0, 3.0]
    """
    del key  # The kernel is not random.
    size = shape[0]
    weights = 1 - jnp.abs((2 * jnp.arange(size) + 1) / size - 1)
    return (jnp.outer(weights, weights)[:, :, None, None] * jnp.eye(*shape[2:])[None, None]).astype(dtype)


def pad_to_multiple(image: jax.Array, multiple: int) -> jax.Array:
    """Pads ``[b, h, w, c]`` with zeros at the bottom and the right until h and w are multiples of a number.

    Example:
      >>> pad_to_multiple(jnp.ones((1, 30, 33, 3)), 32).shape
      (1, 32, 64, 3)
    """
    rows, columns = (-size % multiple for size in image.shape[1:3])
    return jnp.pad(image, ((0, 0), (0, rows), (0, columns), (0, 0)))

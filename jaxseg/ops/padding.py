"""How far each image of a batch reaches, and how to keep what lies beyond from having any influence.

An image is padded with zeros to a multiple of 32 and, where a batch or a bucket asks for it, further. A convolution
followed by a norm or a bias turns that further padding into numbers. The next 3x3 convolution would carry them back
into the image. So the padding is set to zero in front of every such convolution, and kept out of batch statistics. Then
the answer is that of the image padded to its own multiple of 32, in any bucket.

``extents`` is int32 ``[b, 2]``, (height, width) of the part that counts, in pixels, multiples of 32; None: all of it.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def valid_mask(extents: jax.Array | None, size: Sequence[int], stride: int) -> jax.Array | None:
    """Returns which positions of a map of this size and stride are valid: bool ``[b, h, w, 1]``, or None for all."""
    if extents is None:
        return None
    lengths = -(-extents // stride)
    rows = jnp.arange(size[0])[None] < lengths[:, :1]
    columns = jnp.arange(size[1])[None] < lengths[:, 1:]
    return (rows[:, :, None] & columns[:, None])[..., None]


def zero_padding(x: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Sets ``x [b, h, w, c]`` to zero where ``mask`` is False."""
    return x if mask is None else jnp.where(mask, x, jnp.zeros((), x.dtype))


def padded_to_stride(sizes: jax.Array, stride: int = 32) -> jax.Array:
    """Rounds the sizes ``[b, 2]`` of images up to whole strides of the highest level: their extents."""
    return -(-sizes // stride) * stride

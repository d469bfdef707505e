"""How far each image of a batch reaches, and how to keep what lies beyond from having any influence.

An image is padded with zeros to a multiple of 32 and, where a batch or a bucket asks for it, further. A convolution
followed by a norm or a bias turns that further padding into numbers, which the next 3x3 convolution would carry back
into the image. Holding the padding at zero in front of every such convolution, and keeping it out of batch statistics,
makes the answer that of the image padded to its own multiple of 32, whatever the bucket.

``extents`` is int32 ``[b, 2]``, (height, width) of the part that counts, in pixels, multiples of 32; None: all of it.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def valid_mask(extents: jax.Array | None, size: Sequence[int], stride: int) -> jax.Array | None:
    """Which positions of a map of this size (h, w) and stride count: bool ``[b, h, w, 1]``. None if all do."""
    if extents is None:
        return None
    lengths = -(-extents // stride)
    rows = jnp.arange(size[0])[None] < lengths[:, :1]
    columns = jnp.arange(size[1])[None] < lengths[:, 1:]
    return (rows[:, :, None] & columns[:, None])[..., None]


def zero_padding(x: jax.Array, mask: jax.Array | None) -> jax.Array:
    """``x [b, h, w, c]``, and zero where ``mask`` is False."""
    return x if mask is None else jnp.where(mask, x, jnp.zeros((), x.dtype))


def padded_to_stride(sizes: jax.Array, stride: int = 32) -> jax.Array:
    """The extents of images of these sizes ``[b, 2]``, each rounded up to whole strides of the highest level."""
    return -(-sizes // stride) * stride

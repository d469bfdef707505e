"""Padding of images to a common size, and how to keep it from changing a prediction.

An image is padded with zeros to a multiple of 32 and, if its batch or bucket is larger, further. A convolution followed
by a norm or a bias turns that further padding into other numbers. The next 3x3 convolution would carry these into the
image. Hence padding is set to zero before every such convolution, and left out of batch statistics. The result is that
of the image padded to its own multiple of 32, in any bucket.

``extents`` is int32 ``[b, 2]``, the valid height and width in pixels, multiples of 32. None: everything is valid.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def valid_mask(extents: jax.Array | None, size: Sequence[int], stride: int) -> jax.Array | None:
    """Returns which positions of a map are valid: bool ``[b, h, w, 1]``, or None for all.

    Args:
      extents: int32 ``[b, 2]``, the valid height and width of each image in pixels; None: all of it.
      size: height and width of the map.
      stride: pixels from one position of the map to the next.

    Example:
      >>> valid_mask(jnp.array([[32, 64]]), size=(2, 3), stride=32)[0, :, :, 0].tolist()
      [[True, True, False], [False, False, False]]
    """
    if extents is None:
        return None
    lengths = -(-extents // stride)
    rows = jnp.arange(size[0])[None] < lengths[:, :1]
    columns = jnp.arange(size[1])[None] < lengths[:, 1:]
    return (rows[:, :, None] & columns[:, None])[..., None]


def zero_padding(x: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Sets ``x [b, h, w, c]`` to zero where ``mask [b, h, w, 1]`` is False; None keeps all.

    Example:
      >>> zero_padding(jnp.ones((1, 1, 3, 1)), jnp.array([True, True, False])[None, None, :, None]).ravel().tolist()
      [1.0, 1.0, 0.0]
    """
    return x if mask is None else jnp.where(mask, x, jnp.zeros((), x.dtype))


def padded_to_stride(sizes: jax.Array, stride: int = 32) -> jax.Array:
    """Rounds the sizes ``[b, 2]`` of images up to multiples of the stride, which gives their extents.

    Example:
      >>> padded_to_stride(jnp.array([[33, 64]])).tolist()
      [[64, 64]]
    """
    return -(-sizes // stride) * stride

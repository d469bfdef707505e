"""Images and label maps as tensors on the device."""

import jax
import jax.numpy as jnp


def normalize(
    image: jax.Array, mean: tuple[float, ...], std: tuple[float, ...], scale: float, dtype: jnp.dtype = jnp.float32
) -> jax.Array:
    """``(image / scale - mean) / std`` channel by channel, computed in float32.

    Args:
      image: ``[..., c]`` of any type.
      mean: c numbers.
      std: c numbers.
      scale: 255.0 brings uint8 to 0..1.
      dtype: the type of the result.
    """
    factor = 1 / (scale * jnp.asarray(std, jnp.float32))
    offset = -jnp.asarray(mean, jnp.float32) / jnp.asarray(std, jnp.float32)
    shape = (1,) * (image.ndim - 1) + (-1,)
    return (image.astype(jnp.float32) * factor.reshape(shape) + offset.reshape(shape)).astype(dtype)


def confusion_matrix(label: jax.Array, prediction: jax.Array, classes: int) -> jax.Array:
    """Counts of (true, predicted) class, int32 ``[k, k]``, over the pixels that are not ignored.

    The counts come from one matrix product of one-hot rows an image, since adding into a table at computed places is
    slow on accelerators. They are exact up to 2^24 pixels an image.

    Args:
      label: ``[b, h, w]``; a value outside 0..k-1 is not counted.
      prediction: ``[b, h, w]``, in 0..k-1.
      classes: k.
    """
    rows = jax.nn.one_hot(label, classes, dtype=jnp.float32)
    columns = jax.nn.one_hot(prediction, classes, dtype=jnp.float32)
    counts = jnp.einsum("bhwt,bhwp->btp", rows, columns)
    return jnp.sum(counts.astype(jnp.int32), axis=0)

"""Images and label maps as tensors on the device."""

import jax
import jax.numpy as jnp


def normalize(
    image: jax.Array, mean: tuple[float, ...], std: tuple[float, ...], scale: float, dtype: jnp.dtype = jnp.float32
) -> jax.Array:
    """Computes ``(image / scale - mean) / std`` channel by channel, in float32.

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


def confusion_matrices(label: jax.Array, prediction: jax.Array, classes: int) -> jax.Array:
    """Counts pairs of true and predicted class in each image over the pixels that are not ignored: int32 ``[b, k, k]``.

    The counts come from one matrix product of one-hot rows per image, since adding into a table at computed places is
    slow on accelerators. They are exact up to 2^24 pixels per image.

    Args:
      label: ``[b, h, w]``; a value outside 0..k-1 is not counted.
      prediction: ``[b, h, w]``, in 0..k-1.
      classes: k.
    """
    rows = jax.nn.one_hot(label, classes, dtype=jnp.float32)
    columns = jax.nn.one_hot(prediction, classes, dtype=jnp.float32)
    return jnp.einsum("bhwt,bhwp->btp", rows, columns).astype(jnp.int32)


def confusion_matrix(label: jax.Array, prediction: jax.Array, classes: int) -> jax.Array:
    """Counts pairs of true and predicted class over all images, int32 ``[k, k]``; see ``confusion_matrices``."""
    return jnp.sum(confusion_matrices(label, prediction, classes), axis=0)


def confidence_sums(label: jax.Array, logits: jax.Array, bins: int) -> jax.Array:
    """Sums over pixels by their confidence, the largest probability of a class: float32 ``[3, bins]``.

    The rows are the number of pixels, the sum of their confidences and the number of right predictions. Pixels with a
    label outside 0..k-1 are not counted. See ``metrics.calibration``.

    Args:
      label: ``[b, h, w]``.
      logits: ``[b, h, w, k]``.
      bins: number of equally wide bins from 0 to 1.
    """
    logits = logits.astype(jnp.float32)
    confidence = jnp.exp(jnp.max(logits, axis=-1) - jax.nn.logsumexp(logits, axis=-1))
    counted = (label >= 0) & (label < logits.shape[-1])
    number = jnp.where(counted, jnp.minimum((confidence * bins).astype(jnp.int32), bins - 1), bins)
    right = jnp.argmax(logits, axis=-1) == label
    values = jnp.stack([jnp.ones_like(confidence), confidence, right.astype(jnp.float32)], axis=-1)
    one_hot = jax.nn.one_hot(number, bins, dtype=jnp.float32)
    sums = jnp.einsum("bhwn,bhws->bsn", one_hot, values, precision=jax.lax.Precision.HIGHEST)
    return jnp.sum(sums, axis=0)

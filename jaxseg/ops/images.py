"""Images and label maps on the device: normalization, rounding and counts."""

import jax
import jax.numpy as jnp


def normalize(
    image: jax.Array,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    scale: float = 255.0,
    dtype: jnp.dtype = jnp.float32,
) -> jax.Array:
    """Computes ``(image / scale - mean) / std`` per channel, in float32.

    Args:
      image: ``[..., c]`` of any type.
      mean: c numbers.
      std: c numbers.
      scale: the value of full brightness; 255.0 scales uint8 to 0..1.
      dtype: the type of the result.

    Example:
      >>> normalize(jnp.array([[0, 255]], jnp.uint8), mean=(0.5, 0.5), std=(0.5, 0.25)).tolist()
      [[-1.0, 2.0]]
    """
    factor = 1 / (scale * jnp.asarray(std, jnp.float32))
    offset = -jnp.asarray(mean, jnp.float32) / jnp.asarray(std, jnp.float32)
    shape = (1,) * (image.ndim - 1) + (-1,)
    return (image.astype(jnp.float32) * factor.reshape(shape) + offset.reshape(shape)).astype(dtype)


def to_uint8(values: jax.Array) -> jax.Array:
    """Rounds gray levels to whole numbers from 0 to 255. Halves are rounded to even numbers.

    Example:
      >>> to_uint8(jnp.array([-3.0, 0.5, 1.5, 300.0])).tolist()
      [0, 0, 2, 255]
    """
    return jnp.clip(jnp.rint(values), 0, 255).astype(jnp.uint8)


def confusion_matrices(label: jax.Array, prediction: jax.Array, classes: int) -> jax.Array:
    """Counts pairs of true and predicted class per image, over the pixels that are not ignored: int32 ``[b, k, k]``.

    The counts are one matrix product of one-hot rows per image, because a scatter is slow on accelerators. They are
    exact up to 2^24 pixels per image.

    Args:
      label: ``[b, h, w]``; a value outside 0..k-1 is not counted.
      prediction: ``[b, h, w]``, in 0..k-1.
      classes: k.

    Returns:
      int32 ``[b, k, k]``; rows are the true class, columns the predicted one.

    Example:
      >>> label, prediction = jnp.array([[[0, 1, 1, 255]]]), jnp.array([[[0, 0, 1, 1]]])
      >>> confusion_matrices(label, prediction, classes=2).tolist()
      [[[1, 0], [1, 1]]]
    """
    rows = jax.nn.one_hot(label, classes, dtype=jnp.float32)
    columns = jax.nn.one_hot(prediction, classes, dtype=jnp.float32)
    return jnp.einsum("bhwt,bhwp->btp", rows, columns).astype(jnp.int32)


def confusion_matrix(label: jax.Array, prediction: jax.Array, classes: int) -> jax.Array:
    """Counts pairs of true and predicted class over all images, int32 ``[k, k]``; see ``confusion_matrices``.

    Example:
      >>> label, prediction = jnp.array([[[0, 1, 1, 255]]]), jnp.array([[[0, 0, 1, 1]]])
      >>> confusion_matrix(label, prediction, classes=2).tolist()
      [[1, 0], [1, 1]]
    """
    return jnp.sum(confusion_matrices(label, prediction, classes), axis=0)


def confidence_sums(label: jax.Array, logits: jax.Array, bins: int) -> jax.Array:
    """Sums over the pixels of each bin of confidence: float32 ``[3, bins]``; see ``metrics.calibration``.

    The confidence of a pixel is its largest probability of a class. The rows are the number of pixels, the sum of
    their confidences and the number of right predictions. Pixels with a label outside 0..k-1 are not counted.

    Args:
      label: ``[b, h, w]``.
      logits: ``[b, h, w, k]``.
      bins: number of equally wide bins from 0 to 1.

    Example:
      >>> logits = jnp.array([[[[0.0, 0.0], [0.0, 99.0]]]])  # confidences 0.5 and 1
      >>> jax.jit(confidence_sums, static_argnames="bins")(jnp.array([[[0, 0]]]), logits, bins=4).tolist()
      [[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 1.0, 0.0]]
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

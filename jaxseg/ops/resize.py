"""Logits of padded images, resized on the device: each image of a batch by its own factor.

The resize is bilinear with half-pixel centers and without antialias. That is ``torch.nn.functional.interpolate`` with
``align_corners=False``. Along each axis it is one matrix product per image.
"""

import jax
import jax.numpy as jnp

from jaxseg.ops.bilinear import weights
from jaxseg.ops.images import confusion_matrices

STRIP = 1 << 21  # Logits per image that a strip of rows has at most, so that it takes megabytes.


def resize_matrix(old: jax.Array, new: jax.Array, padded_old: int, padded_new: int) -> jax.Array:
    """Returns the weights of the values of an axis in each of its resized values, ``[b, padded_new, padded_old]``.

    Args:
      old: int32 ``[b]``, number of valid values of the axis.
      new: int32 ``[b]``, number of values that these are resized to. Later ones repeat the last.
      padded_old: length of the axis.
      padded_new: length of the resized axis.

    Example:
      >>> jax.jit(resize_matrix, static_argnums=(2, 3))(jnp.array([2]), jnp.array([4]), 2, 4)[0].tolist()
      [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    """
    scale = old.astype(jnp.float32) / new.astype(jnp.float32)
    positions = (jnp.arange(padded_new, dtype=jnp.float32) + 0.5)[None] * scale[:, None] - 0.5
    return weights(positions, padded_old, old[:, None])


def resize_logits(x: jax.Array, old: jax.Array, new: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Resizes each map of a batch, in float32 at least.

    Args:
      x: ``[b, h, w, k]``.
      old: int32 ``[b, 2]``, height and width of the part of each map that counts.
      new: int32 ``[b, 2]``, height and width that this part is resized to.
      size: height and width of the result.

    Returns:
      ``[b, *size, k]``; undefined beyond ``new``.

    Example:
      >>> x = jnp.array([[[[0.0], [1.0]]]])  # one image of 1 x 2 positions
      >>> resized = jax.jit(resize_logits, static_argnames="size")(x, jnp.array([[1, 2]]), jnp.array([[1, 4]]), (1, 4))
      >>> resized.ravel().tolist()
      [0.0, 0.25, 0.75, 1.0]
    """
    rows, columns = (resize_matrix(old[:, i], new[:, i], x.shape[1 + i], size[i]) for i in (0, 1))
    return _apply(rows, columns, x)


def resized_confusions(x: jax.Array, old: jax.Array, new: jax.Array, label: jax.Array) -> jax.Array:
    """Counts pairs of true and predicted class of each image after resizing logits to the pixels of label maps.

    The label map is cut into strips of rows, so that the resized logits need little memory.

    Args:
      x: logits ``[b, h, w, k]``.
      old: int32 ``[b, 2]``, height and width of the part of each map that counts.
      new: int32 ``[b, 2]``, height and width of each label map.
      label: uint8 ``[b, h', w']``, ``IGNORE`` beyond ``new``.

    Returns:
      int32 ``[b, k, k]``, see ``confusion_matrices``.

    Example:
      >>> x = jnp.array([[[[9.0, 0.0], [0.0, 9.0]]]])  # one image of 1 x 2 positions: class 0, class 1
      >>> label = jnp.array([[[0, 0, 0, 1]]])  # of 1 x 4 pixels, predicted as 0, 0, 1, 1
      >>> jax.jit(resized_confusions)(x, jnp.array([[1, 2]]), jnp.array([[1, 4]]), label).tolist()
      [[[2, 1], [0, 1]]]
    """
    height, width = label.shape[1:]
    classes = x.shape[-1]
    fits = (n for n in range(1, height) if height % n == 0 and height // n * width * classes <= STRIP)
    strips = next(fits, height)
    rows, columns = (resize_matrix(old[:, i], new[:, i], x.shape[1 + i], label.shape[1 + i]) for i in (0, 1))

    def cut(array: jax.Array) -> jax.Array:
        return jnp.moveaxis(array.reshape(len(x), strips, height // strips, -1), 1, 0)

    def count(strip: tuple[jax.Array, jax.Array]) -> jax.Array:
        own_rows, own_label = strip
        return confusion_matrices(own_label, jnp.argmax(_apply(own_rows, columns, x), axis=-1), classes)

    return jnp.sum(jax.lax.map(count, (cut(rows), cut(label))), axis=0)


def _apply(rows: jax.Array, columns: jax.Array, x: jax.Array) -> jax.Array:
    """Applies weights ``[b, h', h]`` and ``[b, w', w]`` to ``x [b, h, w, k]``."""
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    # Left alone, GPUs and TPUs would round the logits that are compared.
    exact = jax.lax.Precision.HIGHEST
    x = jnp.einsum("bih,bhwk->biwk", rows, x, precision=exact)
    return jnp.einsum("bjw,biwk->bijk", columns, x, precision=exact)

"""Losses of a label map that are sums over pixels: cross-entropy and focal loss; see ``semantic.py`` for the shapes."""

import jax
import jax.numpy as jnp

from jaxseg.types import IGNORE


def one_hot(label: jax.Array, classes: int) -> jax.Array:
    """Encodes a label map ``[h, w]`` as float32 ``[h, w, k]``; all 0 where the label is ignored.

    Example:
      >>> one_hot(jnp.array([[1, 255]]), 2).tolist()
      [[[0.0, 1.0], [0.0, 0.0]]]
    """
    return jax.nn.one_hot(label, classes, dtype=jnp.float32)


def pixel_weights(
    label: jax.Array, weight: jax.Array | None = None, class_weights: jax.Array | None = None
) -> jax.Array:
    """Returns the weight of each pixel, float32 ``[h, w]``: that of its class times its own; 0 where it is ignored.

    Args:
      label: ``[h, w]``.
      weight: ``[h, w]``; None weighs all pixels equally.
      class_weights: ``[k]``; None weighs all classes equally.

    Example:
      >>> pixel_weights(jnp.array([[0, 1, 255]]), class_weights=jnp.array([0.5, 2.0])).tolist()
      [[0.5, 2.0, 0.0]]
    """
    counted = label != IGNORE
    if class_weights is None:
        return counted.astype(jnp.float32) if weight is None else jnp.where(counted, weight, 0.0)
    of_class = jnp.where(counted, class_weights[jnp.where(counted, label, 0)], 0.0)
    return of_class if weight is None else of_class * weight


def cross_entropy(
    logits: jax.Array,
    label: jax.Array,
    weight: jax.Array | None = None,
    *,
    class_weights: jax.Array | None = None,
    smoothing: float = 0.0,
) -> jax.Array:
    """Sums ``-w w_y sum_c q_c log p_c`` over pixels, with ``q = (1 - smoothing) onehot(y) + smoothing / k``.

    Args:
      logits: ``[h, w, k]``; ``p`` is their softmax.
      label: ``[h, w]``, the class y of each pixel.
      weight: ``[h, w]``, the weight w of each pixel; None weighs all equally.
      class_weights: ``[k]``, the weight w_y of each class; None weighs all equally.
      smoothing: share of the target that is spread over all classes.

    Example:
      >>> logits, label = jnp.zeros((1, 2, 2)), jnp.array([[0, 1]])
      >>> round(float(jax.jit(cross_entropy)(logits, label)), 4)  # two undecided pixels: 2 log 2
      1.3863
    """
    log_probs = jax.nn.log_softmax(logits)
    truth = one_hot(label, logits.shape[-1])
    smooth = (1 - smoothing) * truth + smoothing / logits.shape[-1]
    return -jnp.sum(pixel_weights(label, weight, class_weights) * jnp.sum(smooth * log_probs, axis=-1))


def focal(
    logits: jax.Array,
    label: jax.Array,
    weight: jax.Array | None = None,
    *,
    class_weights: jax.Array | None = None,
    gamma: float = 2.0,
) -> jax.Array:
    """Sums ``-w w_y (1 - p_y)^gamma log p_y`` over pixels.

    Lin et al., "Focal Loss for Dense Object Detection", 2017, section 3.

    Args:
      logits: ``[h, w, k]``; ``p`` is their softmax.
      label: ``[h, w]``, the class y of each pixel.
      weight: ``[h, w]``, the weight w of each pixel; None weighs all equally.
      class_weights: ``[k]``, the weight w_y of each class; None weighs all equally.
      gamma: how strongly the loss of well classified pixels is reduced; 0 gives the cross-entropy.

    Example:
      >>> logits, label = jnp.zeros((1, 2, 2)), jnp.array([[0, 1]])
      >>> round(float(jax.jit(focal)(logits, label)), 4)  # two undecided pixels: 2 (1 / 2)^2 log 2
      0.3466
    """
    log_probs = jax.nn.log_softmax(logits)
    log_p = jnp.sum(one_hot(label, logits.shape[-1]) * log_probs, axis=-1)
    # 1 - p can round to 0, where a fractional power has no derivative.
    miss = jnp.maximum(-jnp.expm1(log_p), jnp.finfo(jnp.float32).tiny)
    return -jnp.sum(pixel_weights(label, weight, class_weights) * miss**gamma * log_p)

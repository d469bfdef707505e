"""Losses of a label map that compare the regions of its classes: Dice and Lovasz; see ``semantic.py`` for the shapes.

They ignore the weights of pixels.
"""

import jax
import jax.numpy as jnp

from jaxseg.losses.pixelwise import one_hot
from jaxseg.types import IGNORE


def dice(logits: jax.Array, label: jax.Array, weight: jax.Array | None = None, *, smooth: float = 1.0) -> jax.Array:
    """Averages ``1 - (2 sum p t + s) / (sum p + sum t + s)`` over classes.

    Milletari et al., "V-Net", 2016, section 3.

    Args:
      logits: ``[h, w, k]``; ``p`` is their softmax.
      label: ``[h, w]``; ``t`` is 1 at the pixels of a class.
      weight: unused; Dice is a loss of regions.
      smooth: the number s. A class that is neither predicted nor present then has loss 0.

    Example:
      >>> logits, label = jnp.zeros((1, 2, 2)), jnp.array([[0, 1]])
      >>> round(float(jax.jit(dice)(logits, label)), 4)  # in each class 1 - (2 * 0.5 + 1) / (1 + 1 + 1)
      0.3333
    """
    del weight
    counted = (label != IGNORE)[..., None]
    probs = jnp.where(counted, jax.nn.softmax(logits), 0.0)
    truth = one_hot(label, logits.shape[-1])
    overlap = jnp.sum(probs * truth, axis=(0, 1))
    total = jnp.sum(probs + truth, axis=(0, 1))
    loss = jnp.mean(1 - (2 * overlap + smooth) / (total + smooth))
    return jnp.where(counted.any(), loss, 0.0)


def lovasz_softmax(logits: jax.Array, label: jax.Array, weight: jax.Array | None = None) -> jax.Array:
    """Averages the Lovasz extension of the Jaccard loss over the classes in the label.

    Berman et al., "The Lovasz-Softmax Loss", 2018, section 3.

    Args:
      logits: ``[h, w, k]``.
      label: ``[h, w]``.
      weight: unused; Lovasz-softmax is a loss of regions.

    Example:
      >>> logits, label = jnp.zeros((1, 2, 2)), jnp.array([[0, 1]])
      >>> round(float(jax.jit(lovasz_softmax)(logits, label)), 4)  # all errors are 0.5
      0.5
    """
    del weight
    counted = jnp.ravel(label != IGNORE)
    probs = jax.nn.softmax(logits).reshape(-1, logits.shape[-1])
    truth = one_hot(label, logits.shape[-1]).reshape(-1, logits.shape[-1])

    def of_class(prob, truth):
        # An ignored pixel has error 0 and is last in the order, where the Jaccard index no longer changes.
        error = jnp.where(counted, jnp.abs(truth - prob), 0.0)
        order = jnp.argsort(jnp.where(counted, -error, 1.0))
        return jnp.dot(error[order], _jaccard_steps(truth[order], counted[order]))

    per_class = jax.vmap(of_class, in_axes=1)(probs, truth)
    present = truth.any(axis=0)
    return jnp.sum(jnp.where(present, per_class, 0.0)) / jnp.maximum(present.sum(), 1)


def counted_image(label: jax.Array, weight: jax.Array | None = None) -> jax.Array:
    """Returns 1.0 for an image with at least one pixel that is not ignored, else 0.0.

    Example:
      >>> float(counted_image(jnp.array([[255, 255]])))
      0.0
    """
    del weight
    return (label != IGNORE).any().astype(jnp.float32)


def _jaccard_steps(truth: jax.Array, counted: jax.Array) -> jax.Array:
    """Returns by how much the Jaccard loss grows when the pixels, in this order, are added to the mistakes."""
    union = truth.sum() + jnp.cumsum((1 - truth) * counted)
    loss = 1 - (truth.sum() - jnp.cumsum(truth)) / jnp.maximum(union, 1)
    return jnp.diff(loss, prepend=0.0) * counted

"""Losses of a label map, each written for one image as a sum and the count that it is to be divided by.

A count depends on the label alone. So microbatches and devices add up: each divides its sums by the counts of the
whole batch, and then the sums and their gradients add.

Shapes: logits float32 ``[h, w, k]`` and label uint8 ``[h, w]``. Where pixels have different weights, there is also
their weight, float32 ``[h, w]``, which multiplies the weights of the classes. Dice and Lovasz, being losses of regions,
ignore it. Pixels labeled ``IGNORE`` add nothing to a sum or a count. An image of nothing else has sum 0, count 0 and
gradient 0.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxseg.types import IGNORE


class Term(NamedTuple):
    """One loss: ``sum(logits, label, weight)`` and ``count(label, weight)``, both scalars of one image."""

    sum: Callable[..., jax.Array]
    count: Callable[..., jax.Array]


def pixel_weights(label: jax.Array, weight: jax.Array | None, class_weights: jax.Array) -> jax.Array:
    """Returns the weight of each pixel's class times its own, float32 ``[h, w]``; 0 where the label is ignored.

    Args:
      label: ``[h, w]``.
      weight: ``[h, w]``, or None for 1.
      class_weights: ``[k]``.
    """
    counted = label != IGNORE
    of_class = jnp.where(counted, class_weights[jnp.where(counted, label, 0)], 0.0)
    return of_class if weight is None else of_class * weight


def one_hot(label: jax.Array, classes: int) -> jax.Array:
    """Encodes the label as float32 ``[h, w, k]``; all 0 where the label is ignored."""
    return jax.nn.one_hot(label, classes, dtype=jnp.float32)


def cross_entropy(
    logits: jax.Array, label: jax.Array, weight: jax.Array | None = None, *, class_weights: jax.Array, smoothing: float
) -> jax.Array:
    """Sums ``-w w_y sum_c q_c log p_c`` with ``q = (1 - smoothing) onehot(y) + smoothing / k``."""
    log_probs = jax.nn.log_softmax(logits)
    truth = one_hot(label, logits.shape[-1])
    smooth = (1 - smoothing) * truth + smoothing / logits.shape[-1]
    return -jnp.sum(pixel_weights(label, weight, class_weights) * jnp.sum(smooth * log_probs, axis=-1))


def focal(
    logits: jax.Array,
    label: jax.Array,
    weight: jax.Array | None = None,
    *,
    class_weights: jax.Array,
    gamma: float = 2.0,
) -> jax.Array:
    """Sums ``-w w_y (1 - p_y)^gamma log p_y`` (Lin et al. 2017, Focal Loss for Dense Object Detection, section 3)."""
    log_probs = jax.nn.log_softmax(logits)
    log_p = jnp.sum(one_hot(label, logits.shape[-1]) * log_probs, axis=-1)
    # 1 - p can round to 0, where a fractional power has no derivative.
    miss = jnp.maximum(-jnp.expm1(log_p), jnp.finfo(jnp.float32).tiny)
    return -jnp.sum(pixel_weights(label, weight, class_weights) * miss**gamma * log_p)


def dice(logits: jax.Array, label: jax.Array, weight: jax.Array | None = None, *, smooth: float = 1.0) -> jax.Array:
    """Averages ``1 - (2 sum p t + s) / (sum p + sum t + s)`` over classes (Milletari et al. 2016, V-Net, section 3).

    ``s`` keeps a class that is neither predicted nor present at loss 0.
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
    """Averages the Lovasz extension of the Jaccard loss over the classes present (Berman et al. 2018, section 3)."""
    del weight
    counted = jnp.ravel(label != IGNORE)
    probs = jax.nn.softmax(logits).reshape(-1, logits.shape[-1])
    truth = one_hot(label, logits.shape[-1]).reshape(-1, logits.shape[-1])

    def of_class(prob, truth):
        # An ignored pixel has error 0 and stands last; there the Jaccard index no longer changes.
        error = jnp.where(counted, jnp.abs(truth - prob), 0.0)
        order = jnp.argsort(jnp.where(counted, -error, 1.0))
        return jnp.dot(error[order], _jaccard_steps(truth[order], counted[order]))

    per_class = jax.vmap(of_class, in_axes=1)(probs, truth)
    present = truth.any(axis=0)
    return jnp.sum(jnp.where(present, per_class, 0.0)) / jnp.maximum(present.sum(), 1)


def _jaccard_steps(truth: jax.Array, counted: jax.Array) -> jax.Array:
    """Returns how much the Jaccard loss grows as each pixel, taken in this order, is added to the mistakes."""
    union = truth.sum() + jnp.cumsum((1 - truth) * counted)
    loss = 1 - (truth.sum() - jnp.cumsum(truth)) / jnp.maximum(union, 1)
    return jnp.diff(loss, prepend=0.0) * counted


def counted_image(label: jax.Array, weight: jax.Array | None = None) -> jax.Array:
    """Returns 1.0 for an image with at least one pixel that counts, else 0.0."""
    del weight
    return (label != IGNORE).any().astype(jnp.float32)


def make_terms(classes: int, options: Mapping[str, Any]) -> dict[str, Term]:
    """Returns all losses by their names in the config.

    Args:
      classes: k.
      options: ``config.loss``. ``class_weights`` has one number per class, or is () for equal ones; cross-entropy and
        focal loss use them. ``label_smoothing`` of the cross-entropy is in 0..1.

    Raises:
      ValueError: a number of class weights other than k.
    """
    class_weights = tuple(options["class_weights"])
    if class_weights and len(class_weights) != classes:
        raise ValueError(
            f"loss.class_weights has {len(class_weights)} numbers; expected {classes}, one per class of the data set. "
            "Give () for equal weights."
        )
    weights = jnp.asarray(class_weights or (1.0,) * classes, jnp.float32)
    smoothing = options["label_smoothing"]

    def weight_of(label, weight=None):
        return jnp.sum(pixel_weights(label, weight, weights))

    return {
        "cross_entropy": Term(partial(cross_entropy, class_weights=weights, smoothing=smoothing), weight_of),
        "focal": Term(partial(focal, class_weights=weights), weight_of),
        "dice": Term(dice, counted_image),
        "lovasz": Term(lovasz_softmax, counted_image),
    }

"""Losses of label maps: ``mean_loss`` for a batch, and each loss for one image as a sum and the count that divides it.

A count depends on the label alone. Hence microbatches and devices add up: each divides its sums by the counts of the
whole batch, and then the sums and their gradients add.

Shapes: logits float32 ``[h, w, k]`` and label uint8 ``[h, w]``. An optional weight, float32 ``[h, w]``, multiplies the
weight of each pixel's class. Dice and Lovasz are losses of regions and ignore it. Pixels labeled ``IGNORE`` add nothing
to a sum or a count. If all pixels are ignored, sum, count and gradient are 0.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxseg.types import IGNORE


class Term(NamedTuple):
    """One loss of one image.

    Attributes:
      sum: ``(logits, label, weight) -> scalar``, the sum of the loss.
      count: ``(label, weight) -> scalar``, the number that divides the sum.
    """

    sum: Callable[..., jax.Array]
    count: Callable[..., jax.Array]  # type: ignore[assignment]  # a field, not the method of tuples


def mean_loss(
    logits: jax.Array,
    label: jax.Array,
    weight: jax.Array | None = None,
    *,
    weights: Mapping[str, float] | None = None,
    class_weights: Sequence[float] = (),
    label_smoothing: float = 0.0,
) -> jax.Array:
    """Computes the loss of a batch: ``sum_i weights[i] sum_images(sum_i) / sum_images(count_i)`` over the losses i.

    Args:
      logits: ``[b, h, w, k]``.
      label: ``[b, h, w]``, class numbers and ``IGNORE``.
      weight: ``[b, h, w]``, a weight per pixel, such as ``Batch.weight``. None weighs all pixels equally.
      weights: the weight of each loss, by the names "cross_entropy", "focal", "dice" and "lovasz". None uses
        cross-entropy alone.
      class_weights: one weight per class, for cross-entropy and focal loss. () weighs all classes equally.
      label_smoothing: share of the target of the cross-entropy that is spread over all classes.

    Raises:
      ValueError: an unknown loss, or a number of class weights other than k.

    Example:
      >>> import numpy as np
      >>> logits = jnp.array([[[[5.0, 5.0], [0.0, 99.0]]]])  # one image of two pixels: undecided, and sure of class 1
      >>> label = np.array([[[0, 1]]])
      >>> round(float(jax.jit(mean_loss)(logits, label)), 4)  # (log 2 + 0) / 2
      0.3466
      >>> round(float(jax.jit(mean_loss)(logits, np.array([[[0, 255]]]))), 4)  # the second pixel is ignored
      0.6931
    """
    terms = make_terms(logits.shape[-1], {"class_weights": class_weights, "label_smoothing": label_smoothing})
    weights = {"cross_entropy": 1.0} if weights is None else weights
    unknown = [name for name in weights if name not in terms]
    if unknown:
        raise ValueError(f"weights names the loss {unknown[0]!r}; expected one of {', '.join(terms)}.")
    pixels = (label,) if weight is None else (label, weight)
    total = jnp.zeros((), jnp.float32)
    for name, factor in weights.items():
        count = jnp.sum(jax.vmap(terms[name].count)(*pixels))
        total += factor * jnp.sum(jax.vmap(terms[name].sum)(logits, *pixels)) / jnp.maximum(count, 1e-12)
    return total


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


def one_hot(label: jax.Array, classes: int) -> jax.Array:
    """Encodes a label map ``[h, w]`` as float32 ``[h, w, k]``; all 0 where the label is ignored.

    Example:
      >>> one_hot(jnp.array([[1, 255]]), 2).tolist()
      [[[0.0, 1.0], [0.0, 0.0]]]
    """
    return jax.nn.one_hot(label, classes, dtype=jnp.float32)


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


def dice(logits: jax.Array, label: jax.Array, weight: jax.Array | None = None, *, smooth: float = 1.0) -> jax.Array:
    """Averages ``1 - (2 sum p t + s) / (sum p + sum t + s)`` over classes.

    Milletari et al., "V-Net", 2016, section 3.

    Args:
      logits: ``[h, w, k]``; ``p`` is their softmax.
      label: ``[h, w]``; ``t`` is 1 at the pixels of a class.
      weight: unused; Dice is a loss of regions.
      smooth: the number s. It gives a class loss 0 that is neither predicted nor present.

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


def _jaccard_steps(truth: jax.Array, counted: jax.Array) -> jax.Array:
    """Returns by how much the Jaccard loss grows when the pixels, in this order, are added to the mistakes."""
    union = truth.sum() + jnp.cumsum((1 - truth) * counted)
    loss = 1 - (truth.sum() - jnp.cumsum(truth)) / jnp.maximum(union, 1)
    return jnp.diff(loss, prepend=0.0) * counted


def counted_image(label: jax.Array, weight: jax.Array | None = None) -> jax.Array:
    """Returns 1.0 for an image with at least one pixel that is not ignored, else 0.0.

    Example:
      >>> float(counted_image(jnp.array([[255, 255]])))
      0.0
    """
    del weight
    return (label != IGNORE).any().astype(jnp.float32)


def make_terms(classes: int, options: Mapping[str, Any]) -> dict[str, Term]:
    """Returns all losses by their names in the config.

    Args:
      classes: k.
      options: ``config.loss``. ``class_weights`` has one weight per class for cross-entropy and focal loss; () weighs
        all equally. ``label_smoothing`` of the cross-entropy is in 0..1.

    Raises:
      ValueError: a number of class weights other than k.

    Example:
      >>> list(make_terms(2, {"class_weights": (1.0, 5.0), "label_smoothing": 0.0}))
      ['cross_entropy', 'focal', 'dice', 'lovasz']
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

"""Losses of label maps: ``mean_loss`` for a batch, and each loss for one image as a sum and the count that divides it.

A count depends on the label alone. Hence microbatches and devices add up: each divides its sums by the counts of the
whole batch, and then the sums and their gradients add.

Shapes: logits float32 ``[h, w, k]`` and label uint8 ``[h, w]``. An optional weight, float32 ``[h, w]``, multiplies the
weight of each pixel's class. Losses of pixels are in ``pixelwise.py``, those of regions in ``region_based.py``. Losses
of regions ignore the weight. Pixels labeled ``IGNORE`` add nothing to a sum or a count. If all pixels are ignored, sum,
count and gradient are 0.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxseg.losses.pixelwise import cross_entropy, focal, pixel_weights
from jaxseg.losses.region_based import counted_image, dice, lovasz_softmax


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


def make_terms(classes: int, options: Mapping[str, Any]) -> dict[str, Term]:
    """Returns all losses by their names in the config.

    Args:
      classes: k.
      options: ``config.loss``. ``class_weights`` has one weight per class for cross-entropy and focal loss; () weighs
        all equally. ``label_smoothing`` of the cross-entropy is in 0..1.

    Raises:
      ValueError: a number of class weights other than k, or all of them are 0.

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
    if class_weights and not any(class_weights):
        raise ValueError(f"loss.class_weights is {class_weights}; expected at least one above 0, since the loss is 0.")
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

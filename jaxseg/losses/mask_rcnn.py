"""The five losses of Mask R-CNN, each as a sum and the count that divides it.

Every function returns ``Mean(total, count)``, sums over the static slots of one image or of a whole batch. Sums of
several images, microbatches or devices add up, and ``Mean.value()`` divides last. Hence a loss does not depend on how
its batch is split. Filler slots are set to 0 before any nonlinear function, so no value in them reaches a sum or a
gradient, not even an infinite one.

Formulas: Faster R-CNN (Ren et al. 2015), section 3.1.2; Mask R-CNN (He et al. 2017), section 3; with torchvision's
denominators and its smooth L1 of beta 1/9. Everything is computed in float32.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

SMOOTH_L1_BETA = 1 / 9


class Mean(NamedTuple):
    """A mean before its division.

    Attributes:
      total: float32, the sum of the losses that count.
      count: float32, the number that divides it.

    Example:
      >>> Mean(total=jnp.array(3.0), count=jnp.array(4.0)).value().item()
      0.75
    """

    total: jax.Array
    count: jax.Array  # type: ignore[assignment]  # a field, not the method of tuples

    def value(self) -> jax.Array:
        """Returns the mean; 0, with gradients of 0, where nothing was counted."""
        return self.total / jnp.maximum(self.count, 1)


def smooth_l1(pred: jax.Array, target: jax.Array) -> jax.Array:
    """Computes ``d^2 / (2 beta)`` where ``d = |pred - target| < beta``, else ``d - beta / 2`` (Fast R-CNN, equation 3).

    Args:
      pred: any shape.
      target: the same shape.

    Example:
      >>> round(smooth_l1(jnp.float32(1.0), jnp.float32(0.0)).item(), 4)  # 1 - 1 / 18
      0.9444
    """
    distance = jnp.abs(pred - target)
    quadratic = 0.5 * jnp.square(distance) / SMOOTH_L1_BETA
    return jnp.where(distance < SMOOTH_L1_BETA, quadratic, distance - 0.5 * SMOOTH_L1_BETA)


def objectness(logits: jax.Array, positive: jax.Array, valid: jax.Array) -> Mean:
    """Averages the binary cross-entropy of the sampled anchors over the samples.

    Args:
      logits: ``[..., p]`` of the sampled anchors.
      positive: bool ``[..., p]``, True where the anchor matched an object.
      valid: bool ``[..., p]``, False in filler slots.

    Example:
      >>> loss = jax.jit(objectness)(jnp.array([0.0, jnp.inf]), jnp.array([True, False]), jnp.array([True, False]))
      >>> round(loss.value().item(), 4)  # one undecided sample: log 2
      0.6931
    """
    chex.assert_equal_shape([logits, positive, valid])
    losses = _binary_cross_entropy(_masked(logits, valid), positive.astype(jnp.float32))
    return _mean(losses, valid, valid.sum())


def rpn_boxes(pred_deltas: jax.Array, gt_deltas: jax.Array, positive: jax.Array, valid: jax.Array) -> Mean:
    """Averages smooth L1 of the positive anchors over all samples, positive or not.

    Args:
      pred_deltas: ``[..., p, 4]`` of the sampled anchors.
      gt_deltas: ``[..., p, 4]``, from ``boxes.encode``.
      positive: bool ``[..., p]``, True where the anchor matched an object.
      valid: bool ``[..., p]``, False in filler slots.

    Example:
      >>> pred, gt = jnp.array([[1.0, 0.0, 0.0, 0.0]] * 2), jnp.zeros((2, 4))
      >>> loss = jax.jit(rpn_boxes)(pred, gt, jnp.array([True, False]), jnp.array([True, True]))
      >>> round(loss.value().item(), 4)  # (1 - 1 / 18) / 2
      0.4722
    """
    chex.assert_equal_shape([pred_deltas, gt_deltas])
    counted = (positive & valid)[..., None]
    return _mean(smooth_l1(_masked(pred_deltas, counted), _masked(gt_deltas, counted)), counted, valid.sum())


def classification(logits: jax.Array, gt_classes: jax.Array, valid: jax.Array) -> Mean:
    """Averages the cross-entropy of the sampled proposals over the samples.

    Args:
      logits: ``[..., p, k]``.
      gt_classes: int ``[..., p]``, 0 for the background.
      valid: bool ``[..., p]``, False in filler slots.

    Example:
      >>> loss = jax.jit(classification)(jnp.zeros((2, 2)), jnp.array([0, 1]), jnp.array([True, True]))
      >>> round(loss.value().item(), 4)  # two undecided samples: (log 2 + log 2) / 2
      0.6931
    """
    log_probabilities = jax.nn.log_softmax(_masked(logits, valid[..., None]))
    return _mean(-_of_class(log_probabilities, gt_classes, axis=-1), valid, valid.sum())


def head_boxes(pred_deltas: jax.Array, gt_deltas: jax.Array, gt_classes: jax.Array, valid: jax.Array) -> Mean:
    """Averages smooth L1 of the positive proposals, for their own class, over all samples, positive or not.

    Args:
      pred_deltas: ``[..., p, k, 4]``, or ``[..., p, 1, 4]`` where all classes share them.
      gt_deltas: ``[..., p, 4]``, from ``boxes.encode``.
      gt_classes: int ``[..., p]``, 0 for the background, which has no box.
      valid: bool ``[..., p]``, False in filler slots.

    Example:
      >>> pred, gt = jnp.array([[[1.0, 0.0, 0.0, 0.0]]] * 2), jnp.zeros((2, 4))
      >>> loss = jax.jit(head_boxes)(pred, gt, jnp.array([1, 0]), jnp.array([True, True]))
      >>> round(loss.value().item(), 4)  # (1 - 1 / 18) / 2
      0.4722
    """
    counted = ((gt_classes > 0) & valid)[..., None]
    of_class = _of_class(pred_deltas, gt_classes, axis=-2)
    return _mean(smooth_l1(_masked(of_class, counted), _masked(gt_deltas, counted)), counted, valid.sum())


def masks(logits: jax.Array, targets: jax.Array, gt_classes: jax.Array, valid: jax.Array) -> Mean:
    """Averages the binary cross-entropy of the masks of positive proposals, for their own class, over pixels.

    Args:
      logits: ``[..., p, n, n, k]``, or ``[..., p, n, n, 1]`` where all classes share them.
      targets: ``[..., p, n, n]`` in 0..1, from ``masks.crop_targets``.
      gt_classes: int ``[..., p]``, 0 for the background, which has no mask.
      valid: bool ``[..., p]``, False in filler slots.

    Example:
      >>> logits, targets = jnp.zeros((1, 2, 2, 3)), jnp.ones((1, 2, 2))
      >>> round(jax.jit(masks)(logits, targets, jnp.array([2]), jnp.array([True])).value().item(), 4)  # log 2
      0.6931
    """
    counted = ((gt_classes > 0) & valid)[..., None, None]
    of_class = _of_class(logits, gt_classes, axis=-1)
    losses = _binary_cross_entropy(_masked(of_class, counted), _masked(targets, counted))
    pixels = targets.shape[-1] * targets.shape[-2]
    return _mean(losses, counted, counted.sum() * pixels)


def _masked(values: jax.Array, counted: jax.Array) -> jax.Array:
    """Returns the values in float32, 0 where not counted; masking a loss instead would give 0 * inf = NaN."""
    return jnp.where(counted, values.astype(jnp.float32), 0)


def _mean(losses: jax.Array, counted: jax.Array, count: jax.Array) -> Mean:
    return Mean(jnp.where(counted, losses, 0).sum(), count.astype(jnp.float32))


def _binary_cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Computes the loss elementwise, for targets in 0..1, without overflow for any finite logit."""
    return jnp.maximum(logits, 0) - logits * targets + jnp.log1p(jnp.exp(-jnp.abs(logits)))


def _of_class(predictions: jax.Array, classes: jax.Array, axis: int) -> jax.Array:
    """Returns the predictions for the class ``[..., p]`` of each proposal; ``axis`` has k classes, or 1 for all.

    It is a masked sum, because the gradient of a look-up would be a scatter.
    """
    if predictions.shape[axis] == 1:
        return jnp.squeeze(predictions, axis)
    numbers = jax.lax.broadcasted_iota(jnp.int32, predictions.shape, axis % predictions.ndim)
    classes = jnp.expand_dims(classes, tuple(range(classes.ndim, predictions.ndim)))
    return jnp.where(numbers == classes, predictions, 0).sum(axis)

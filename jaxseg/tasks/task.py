"""What a training loop needs to know of a task, tied together."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn


class Task(NamedTuple):
    """A model with its loss, its predictions and its metric, as functions.

    The functions of a batch are pure, and are compiled by ``jaxseg.steps``; those of the metric run on the host.

    Attributes:
      model: the module itself, for those who describe or export it.
      init: ``key -> variables``.
      denominators: ``batch -> counts`` by which the sums in the loss are divided. They depend on the batch alone, so
        that a batch cut into parts has the loss of the whole: each part is divided by the counts of all.
      loss: ``(params, batch_stats, batch, denominators, key) -> (loss, (batch_stats, logs))``; ``logs`` holds the
        scalars that make up the loss.
      score: ``(variables, batch) -> sums`` of an evaluation, a pytree that adds up over batches.
      start, add, result: the metric: ``() -> total``, ``(total, sums) -> total``, ``total -> scores``.
      score_names: those of the scores that are one number, the more the better.
      predict: ``(variables, image) -> predictions`` for uint8 images ``[b, h, w, 3]``.
      class_names: one a class.
      palette: uint8 ``[k, 3]``.
    """

    model: nn.Module
    init: Callable[..., Any]
    denominators: Callable[..., Any]
    loss: Callable[..., Any]
    score: Callable[..., Any]
    start: Callable[[], Any]
    add: Callable[[Any, Any], Any]
    result: Callable[[Any], dict]
    score_names: tuple[str, ...]
    predict: Callable[..., Any]
    class_names: tuple[str, ...]
    palette: Any

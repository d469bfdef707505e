"""What the loops need to know of a task, tied together."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn

from jaxseg.metrics.details import Details


class Task(NamedTuple):
    """A model with its data, its loss, its predictions and its metric, as functions.

    The functions of a batch are pure; ``jaxseg.run.compilation`` compiles them. Those of the metric run on the host.

    A loss is made of sums and of the counts by which they are divided. Sums and counts of the parts of a batch, on
    whatever device, add up to those of the whole, so that a batch cut into parts has the loss of the whole.

    Attributes:
      model: the module itself, for those who describe or export it.
      example: arguments and keyword arguments with which the module can be called.
      init: ``key -> variables``.
      train_batches: ``(source, config.data, ...) -> batches``, see ``data.batches.train_batches``.
      eval_batches: ``(source, config.data, ...) -> batches``, see ``data.batches.eval_batches``.
      sums: ``(params, batch_stats, batch, key, part) -> (sums, counts, batch_stats)``; ``key`` is that of the step,
        ``part`` the number of the microbatch. No gradient goes through the counts.
      loss: ``(sums, counts) -> (loss, logs)``; linear in the sums. ``logs`` holds the scalars that make up the loss.
      score: ``(variables, batch) -> (totals, each)``, what an evaluation needs of a batch: ``totals`` adds up over
        batches and devices, ``each`` holds arrays ``[b, ...]``. Either may be empty.
      start, add, result: the metric: ``source -> context manager of a state``, which holds what the metric needs;
        ``(state, (totals, each), batch) -> state`` where batch and ``each`` are this process's share; ``state ->
        scores``, which are the same in all processes.
      details: ``state -> metrics.details.Details``, what a report shows in addition to the scores, in all processes.
      score_names: those of the scores that are one number, the more the better.
      predict: ``(variables, *inputs) -> predictions``.
      frozen: with what the paths of the parameters begin that do not learn, such as "backbone/conv1/".
      class_names: one a class.
      palette: uint8 ``[k, 3]``.
    """

    model: nn.Module
    example: tuple[tuple, dict]
    init: Callable[..., Any]
    train_batches: Callable[..., Any]
    eval_batches: Callable[..., Any]
    sums: Callable[..., Any]
    loss: Callable[..., Any]
    score: Callable[..., Any]
    start: Callable[..., Any]
    add: Callable[..., Any]
    result: Callable[[Any], dict]
    details: Callable[[Any], Details]
    score_names: tuple[str, ...]
    predict: Callable[..., Any]
    frozen: tuple[str, ...]
    class_names: tuple[str, ...]
    palette: Any

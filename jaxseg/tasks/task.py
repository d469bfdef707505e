"""The contract of a task: model, data, loss and metric as functions that the loops call.

A task is a ``Task`` of five small tuples. ``jaxseg.run.steps`` computes with ``model`` and ``loss`` and
``metric.score`` on the devices; these functions are pure. ``data`` and the rest of ``metric`` run on the host.

An example, a "segmentation" into the channel that is brightest::

    def sums(params, batch_stats, batch, key, part):
        logits = batch.image * params["scale"]
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch.label)
        return {"cross_entropy": losses.sum()}, {"cross_entropy": losses.size}, batch_stats

    def combine(sums, counts):
        value = sums["cross_entropy"] / counts["cross_entropy"]
        return value, {"cross_entropy": value}

    loss = Loss(sums, combine)

``jaxseg.tasks.semantic`` and ``jaxseg.tasks.instances`` are examples. A new one is a file with ``make_task`` and a line
in ``jaxseg.tasks.TASKS``.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import flax.linen as nn
import jax
import numpy as np

from jaxseg.types import AnyBatch, Source

Variables = dict[str, Any]  # "params" and, for models with batch norm, "batch_stats"
Scalars = Mapping[str, Any]  # scalars, or dictionaries of them, by name


class Model(NamedTuple):
    """A module with what the loops need to know of it.

    Attributes:
      module: the Flax module.
      example: arguments and keyword arguments with which the module can be called.
      init: ``key -> variables``.
      predict: ``(variables, *inputs) -> predictions``.
      frozen: prefixes of the paths of parameters that are not trained, such as "backbone/conv1/".
    """

    module: nn.Module
    example: tuple[tuple, dict]
    init: Callable[[jax.Array], Variables]
    predict: Callable[..., Any]
    frozen: tuple[str, ...] = ()


class MakeBatches(Protocol):
    """A function that makes batches of a split in the background, see ``data.semantic.batches``."""

    def __call__(
        self, source: Source, data_config: Any, *, batch_size: int, process_index: int = 0, process_count: int = 1
    ) -> Any:
        """Returns an iterator over this process's share of the batches; use it in a ``with`` statement.

        ``train_batches`` also takes ``seed`` and ``start_step``.
        """


class Data(NamedTuple):
    """How images become batches.

    Attributes:
      train_batches: endless, shuffled and augmented; batch t is a function of the seed and t.
      eval_batches: each image once, grouped by size; batches are completed by filler that is not ``valid``.
      largest_batch: ``(source, data_config, training=...) -> batch`` of one row, of the largest size that occurs.
      train_dataset: the training batches by step, where all of them have one shape, so that those of several runs can
        be stacked; None where they differ.
    """

    train_batches: Callable[..., Any]
    eval_batches: MakeBatches
    largest_batch: Callable[..., AnyBatch]
    train_dataset: Callable[..., Any] | None = None


class LossSums(Protocol):
    """A function that computes the sums of a loss on one microbatch, and the counts that divide them."""

    def __call__(
        self, params: Any, batch_stats: Any, batch: AnyBatch, key: jax.Array, part: jax.Array | int
    ) -> tuple[Scalars, Scalars, Any]:
        """Returns sums, counts and the new batch statistics.

        Args:
          params: the parameters of the model.
          batch_stats: the running statistics of its batch norms.
          batch: the microbatch.
          key: the random key of the step, the same for all microbatches.
          part: the number of the microbatch.
        """


class Loss(NamedTuple):
    """A loss, made of sums and of counts that divide them.

    Sums and counts of the parts of a batch, on any devices, add up to those of the whole. A batch that is cut into
    parts therefore has the loss of the whole. No gradient flows through the counts.

    Attributes:
      sums: the sums and counts of a microbatch.
      combine: ``(sums, counts) -> (loss, terms)``, linear in the sums. The terms are scalars for the logs.
      prepare: ``batch -> batch``, computed once per step before ``sums``, such as augmentation on the device; None
        leaves batches as they are.
    """

    sums: LossSums
    combine: Callable[[Scalars, Scalars], tuple[jax.Array, dict[str, jax.Array]]]
    prepare: Callable[[AnyBatch], AnyBatch] | None = None


class Metric(NamedTuple):
    """The scores of an evaluation.

    Attributes:
      score: ``(variables, batch) -> (totals, each)``, on the devices. ``totals`` add up over batches and devices,
        ``each`` holds arrays ``[b, ...]``. Either may be empty.
      start: ``source -> context manager`` of the state of an evaluation.
      add: ``(state, (totals, each), batch) -> state``, with this process's share of ``each`` and of the batch.
      result: ``state -> scores``, the same in all processes.
      details: ``(state, share) -> Details`` for reports, such as scores per image. All processes call it with the
        number of their share, see ``parallel.mesh.batch_share``.
      names: the scores that are one number, higher is better; ``train.best_metric`` is one of them.
    """

    score: Callable[[Variables, AnyBatch], tuple[Any, Any]]
    start: Callable[[Source], AbstractContextManager[Any]]
    add: Callable[[Any, tuple[Any, Any], AnyBatch], Any]
    result: Callable[[Any], dict[str, Any]]
    details: Callable[[Any, int], Any]
    names: tuple[str, ...]


class Classes(NamedTuple):
    """The classes of a data set.

    Attributes:
      names: one name per class; a detector's number 0 is the background.
      palette: uint8 ``[k, 3]``, the colors.
    """

    names: tuple[str, ...]
    palette: np.ndarray


class Task(NamedTuple):
    """A model with its data, loss, metric and classes, see the top of this file."""

    model: Model
    data: Data
    loss: Loss
    metric: Metric
    classes: Classes

"""Turns records into batches. Batch t is a pure function of (seed, t).

The order of examples is new in each epoch, and a batch may straddle two epochs. Nothing depends on the number of
workers or processes that share the work, so resuming needs the number of the step only.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import grain
import ml_collections
import numpy as np

from jaxseg.data.augment import Pipeline, read_pipeline
from jaxseg.data.augment.device import augments_on_device
from jaxseg.data.naming import named_errors
from jaxseg.data.semantic import transforms
from jaxseg.data.semantic.border import Border, border_of, border_weights
from jaxseg.data.semantic.eval_batches import EvalBatch, empty_batch, evaluation_groups
from jaxseg.data.semantic.examples import Constant, resized_examples
from jaxseg.data.semantic.planned_batches import PlannedBatch, stack_planned
from jaxseg.data.semantic.sizing import read_sizing, scores_original
from jaxseg.data.stream import BatchStream
from jaxseg.types import Batch, Example, Source, UnaugmentedBatch

ENDLESS = 1 << 40  # examples; no run sees as many


def train_batches(
    source: Source,
    data_config: ml_collections.ConfigDict,
    *,
    batch_size: int,
    seed: int = 0,
    start_step: int = 0,
    process_index: int = 0,
    process_count: int = 1,
) -> BatchStream:
    """Returns shuffled, augmented batches without end, from step ``start_step`` on.

    Args:
      source: the training split, as ``data.sources.open_source`` opens it.
      data_config: ``config.data``.
      batch_size: number of examples per batch over all processes.
      seed: the seed of the order and of the augmentations.
      start_step: the step of the first batch.
      process_index: the number of this process; it gets rows ``[p b / n, (p + 1) b / n)`` of every batch.
      process_count: number of processes that share each batch.

    Returns:
      An iterator of ``Batch`` with ``b / n`` examples each, or of ``UnaugmentedBatch`` under
      ``data.augment_on = "device"``. Close it, or use it in a ``with`` statement.

    Example:
      >>> from jaxseg import config
      >>> from jaxseg.data.sources import open_source
      >>> data = config.load("unet_shapes").data
      >>> data.cache = False
      >>> with train_batches(open_source(data, "train"), data, batch_size=2) as batches:
      ...     batch = next(batches)
      >>> batch.image.shape, batch.label.shape, batch.valid.tolist()
      ((2, 64, 64, 3), (2, 64, 64), [True, True])
    """
    batches = train_dataset(
        source,
        data_config,
        batch_size=batch_size,
        seed=seed,
        process_index=process_index,
        process_count=process_count,
    )
    return BatchStream(batches[start_step:], workers=data_config.workers)


def train_dataset(
    source: Source,
    data_config: ml_collections.ConfigDict,
    *,
    batch_size: int,
    seed: int,
    process_index: int = 0,
    process_count: int = 1,
) -> grain.MapDataset:
    """Returns the training batches as a dataset with random access by step, see ``train_batches``."""
    share = share_of(batch_size, process_index, process_count)
    if len(source.records) == 0:
        raise ValueError(f"the split config.data.train of {data_config.name} is empty")
    pipeline = read_pipeline(data_config, "semantic")
    sizing = read_sizing(data_config)
    if sizing.stretches:
        size = pipeline.options["crop"].stored_size()
        examples = resized_examples(source, data_config, Constant(size), sizing)
    else:
        examples = resized_examples(source, data_config, pipeline.options["scale"].stored_size, sizing)
    files = tuple(source.files)
    if augments_on_device(data_config):
        size = transforms.crop_size(data_config)
        make = PlannedBatch(examples, pipeline, size, seed, batch_size, share, files)
    else:
        make = TrainBatch(examples, pipeline, border_of(data_config), seed, batch_size, share, files)
    # An endless repetition has more examples than fit an index when batches have one example each.
    epochs = ENDLESS // len(examples) + 1
    order = grain.MapDataset.range(len(examples)).seed(seed).shuffle().repeat(epochs).batch(batch_size)
    return order.map_with_index(make)


def eval_batches(
    source: Source,
    data_config: ml_collections.ConfigDict,
    *,
    batch_size: int,
    process_index: int = 0,
    process_count: int = 1,
) -> BatchStream:
    """Returns batches with every image of the source once over all processes, only resized, without pixel weights.

    Images are grouped by size. All images of a group are padded to one size, and their original label maps to another,
    so few programs are compiled. All processes get the same number of batches of ``batch_size / process_count`` rows.
    The last batch of each group is completed by rows that are not ``valid``. ``train_batches`` describes the arguments.

    Evaluations are short and come often, so they are read by threads (OpenCV decodes and resizes outside Python's
    lock): processes would spend longer starting than reading.
    """
    share = share_of(batch_size, process_index, process_count)
    sizing, original = read_sizing(data_config), scores_original(data_config)
    examples = resized_examples(source, data_config, sizing.target, sizing, original)
    batches = [
        (group, group.images[start : start + batch_size][share])
        for group in evaluation_groups(source, sizing, original)
        for start in range(0, len(group.images), batch_size)
    ]
    make = EvalBatch(examples, batches, not sizing.stretches, share.stop - share.start, tuple(source.files))
    return BatchStream(grain.MapDataset.range(len(batches)).map(make), workers=0)


def largest_batch(
    source: Source, data_config: ml_collections.ConfigDict, *, training: bool
) -> Batch | UnaugmentedBatch:
    """Returns a filler batch of one row, of the largest size that occurs."""
    sizing = read_sizing(data_config)
    if not training:
        groups = evaluation_groups(source, sizing, scores_original(data_config))
        largest = max(groups, key=lambda group: math.prod(group.size) + math.prod(group.original or (0,)))
        return empty_batch(largest, 1, not sizing.stretches)
    size = transforms.crop_size(data_config)
    if augments_on_device(data_config):
        pipeline = read_pipeline(data_config, "semantic")
        stored = pipeline.options["crop"].stored_size()
        black = Example(np.zeros((*stored, 3), np.uint8), np.zeros(stored, np.uint8))
        return stack_planned([black], [pipeline.plan(np.random.default_rng(0), size)])
    weight = np.zeros((1, *size), np.float32) if border_of(data_config) else None
    return Batch(np.zeros((1, *size, 3), np.uint8), np.zeros((1, *size), np.uint8), np.zeros(1, bool), weight)


class TrainBatch(NamedTuple):
    """A function from a step and the numbers of its records to the training batch, for any process."""

    examples: Sequence[Example]
    pipeline: Pipeline
    border: Border | None
    seed: int
    batch_size: int
    share: slice
    files: Sequence[str] = ()

    def __call__(self, step: int, indices: np.ndarray) -> Batch:
        """Returns the rows ``share`` of the batch of ``step``, which consists of the records ``indices`` ``[b]``."""
        rows = range(self.batch_size)[self.share]
        return _stack([self._example(step * self.batch_size + row, int(indices[row])) for row in rows])

    def _example(self, position: int, index: int) -> Example:
        rng = np.random.default_rng([self.seed, position])
        with named_errors(self.files, index):
            example = self.pipeline.augment(rng, self.examples[index])
            # Borders come last, since they depend on how the image was cropped and bent.
            return example._replace(weight=border_weights(example.label, self.border)) if self.border else example


def share_of(batch_size: int, process_index: int, process_count: int) -> slice:
    """Returns the rows of each batch that belong to a process.

    Raises:
      ValueError: the processes cannot share a batch evenly.
    """
    if batch_size < 1 or batch_size % process_count:
        raise ValueError(
            f"config.train.batch_size is {batch_size}; expected a positive multiple of the {process_count} processes"
        )
    rows = batch_size // process_count
    return slice(process_index * rows, (process_index + 1) * rows)


def _stack(examples: list[Example]) -> Batch:
    return Batch(
        np.stack([example.image for example in examples]),
        np.stack([example.label for example in examples]),
        np.ones(len(examples), bool),
        None if examples[0].weight is None else np.stack([example.weight for example in examples]),
    )

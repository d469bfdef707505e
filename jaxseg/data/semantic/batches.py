"""From records to batches. Batch t is a pure function of (seed, t).

The order of examples is new in each epoch, and a batch may straddle two epochs. Nothing depends on the number of
workers or processes that share the work, so resuming needs the number of the step only.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import grain
import ml_collections
import numpy as np

from jaxseg.data.augment import Pipeline, read_pipeline
from jaxseg.data.cache import CachedExamples
from jaxseg.data.semantic import transforms
from jaxseg.data.semantic.border import Border, border_of, border_weights
from jaxseg.data.stream import BatchStream
from jaxseg.types import IGNORE, Batch, Example, Source

ENDLESS = 1 << 40  # examples; no run sees as many


def train_batches(
    source: Source,
    data_config: ml_collections.ConfigDict,
    *,
    batch_size: int,
    seed: int,
    start_step: int,
    process_index: int = 0,
    process_count: int = 1,
) -> BatchStream:
    """Returns augmented batches without end, from step ``start_step`` on.

    Args:
      source: what to learn from.
      data_config: ``config.data``.
      batch_size: examples in a batch over all processes.
      seed: of the order and of the augmentation.
      start_step: the first batch is the one of this step.
      process_index: this process' number; it gets rows ``[p b / n, (p + 1) b / n)`` of every batch.
      process_count: how many processes share each batch.

    Returns:
      An iterator of ``Batch`` with ``b / n`` examples each; close it, or use it in a ``with`` statement.
    """
    share = share_of(batch_size, process_index, process_count)
    if len(source.records) == 0:
        raise ValueError(f"the split config.data.train of {data_config.name} is empty")
    pipeline = read_pipeline(data_config, "semantic")
    examples = _examples(source, data_config, pipeline.options["crop"].stored_size())
    make = TrainBatch(examples, pipeline, border_of(data_config), seed, batch_size, share)
    # An endless repetition has more examples than fit an index when batches have one example each.
    epochs = ENDLESS // len(examples) + 1
    order = grain.MapDataset.range(len(examples)).seed(seed).shuffle().repeat(epochs).batch(batch_size)
    return BatchStream(order.map_with_index(make)[start_step:], workers=data_config.workers)


def eval_batches(
    source: Source,
    data_config: ml_collections.ConfigDict,
    *,
    batch_size: int,
    process_index: int = 0,
    process_count: int = 1,
) -> BatchStream:
    """Returns batches with every image of the source once over all processes, only resized; all pixels count alike.

    All processes get equally many batches, all of ``batch_size / process_count`` rows; the last ones are filled up
    with rows that are not ``valid``. The arguments are those of ``train_batches``.

    Evaluations are short and come often, so they are read by threads (OpenCV decodes and resizes outside Python's
    lock): processes would spend longer starting than reading.
    """
    share = share_of(batch_size, process_index, process_count)
    size = transforms.image_size(data_config)
    make = EvalBatch(_examples(source, data_config, size), size, batch_size, share)
    steps = -(-len(source.records) // batch_size)
    return BatchStream(grain.MapDataset.range(steps).map(make), workers=0)


class TrainBatch(NamedTuple):
    """Makes the batch of a step from the numbers of its records, in any process."""

    examples: Sequence[Example]
    pipeline: Pipeline
    border: Border | None
    seed: int
    batch_size: int
    share: slice

    def __call__(self, step: int, indices: np.ndarray) -> Batch:
        """Returns the rows ``share`` of the batch of ``step``, which consists of the records ``indices`` ``[b]``."""
        rows = range(self.batch_size)[self.share]
        return _stack([self._example(step * self.batch_size + row, int(indices[row])) for row in rows])

    def _example(self, position: int, index: int) -> Example:
        rng = np.random.default_rng([self.seed, position])
        example = self.pipeline.augment(rng, self.examples[index])
        # Last, for where borders are is a matter of how the image was cut and bent.
        return example._replace(weight=border_weights(example.label, self.border)) if self.border else example


class EvalBatch(NamedTuple):
    """Makes the evaluation batch of a number."""

    examples: Sequence[Example]
    size: tuple[int, int]
    batch_size: int
    share: slice

    def __call__(self, step: int) -> Batch:
        """Returns the rows ``share`` of batch ``step``, those beyond the end of the data not ``valid``."""
        rows = range(step * self.batch_size, (step + 1) * self.batch_size)[self.share]
        examples = [self.examples[row] for row in rows if row < len(self.examples)]
        filler = Example(np.zeros((*self.size, 3), np.uint8), np.full(self.size, IGNORE, np.uint8))
        batch = _stack(examples + [filler] * (len(rows) - len(examples)))
        return batch._replace(valid=np.arange(len(rows)) < len(examples))


class Examples(Sequence):
    """The records of a source as examples of one size."""

    def __init__(self, source: Source, size: tuple[int, int]):
        self.records = source.records
        self.class_count = len(source.class_names)
        self.size = size

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Example:
        return transforms.to_example(self.records[index], self.size, self.class_count)


def _examples(source: Source, data_config: ml_collections.ConfigDict, size: tuple[int, int]) -> Sequence[Example]:
    examples = Examples(source, size)
    if not data_config.cache or not source.fingerprint:
        return examples
    return CachedExamples(examples, size, source.fingerprint, Path(data_config.dir) / "cache")


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

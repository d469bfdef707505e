"""Turns records into batches for detectors. Training batch t is a pure function of (seed, t).

Images are padded to a few sizes, one per batch, so that few programs are compiled. Resuming needs the number of the
step only. The number of processes and workers changes nothing.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import grain
import ml_collections
import numpy as np

from jaxseg.data.augment import Pipeline, read_pipeline
from jaxseg.data.instances.catalogue import (
    catalogue_of,
    scored_groups,
    trained_images,
    training_groups,
    warn_of_crowded,
)
from jaxseg.data.instances.grouping import GroupedOrder
from jaxseg.data.instances.packing import empty_batch, fill_row
from jaxseg.data.instances.transforms import apply_view, whole_view
from jaxseg.data.naming import named_errors
from jaxseg.data.resize import Size
from jaxseg.data.semantic.batches import share_of
from jaxseg.data.stream import BatchStream
from jaxseg.types import InstanceBatch, InstanceExample, Record, Source

ENDLESS = 1 << 40  # steps
MANY = 1000  # number of images from which evaluation uses processes


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

    All images of a batch, over all processes, are padded to one of ``padded_sizes(data_config, training=True)``.
    ``semantic.batches.train_batches`` describes the arguments.

    Returns:
      An iterator of ``InstanceBatch`` with ``b / n`` images each; close it, or use it in a ``with`` statement.

    Example:
      >>> from jaxseg import config
      >>> from jaxseg.data.sources import open_source
      >>> data = config.load("mask_rcnn_shapes").data
      >>> with train_batches(open_source(data, "train"), data, batch_size=2) as batches:
      ...     batch = next(batches)
      >>> batch.image.shape, batch.boxes.shape, batch.masks.shape
      ((2, 160, 160, 3), (2, 6, 4), (2, 6, 160, 20))
    """
    share = share_of(batch_size, process_index, process_count)
    pipeline = read_pipeline(data_config, "instances")
    catalogue = catalogue_of(source, data_config)
    trained = trained_images(catalogue, data_config)
    warn_of_crowded(catalogue.counts, data_config.max_objects)
    groups = training_groups(catalogue, data_config)
    order = GroupedOrder(tuple(groups.values()), batch_size, seed)
    files = tuple(source.files)
    make = TrainBatch(source.records, trained, order, tuple(groups), pipeline, data_config.max_objects, share, files)
    return BatchStream(grain.MapDataset.range(ENDLESS).map(make)[start_step:], workers=data_config.workers)


def eval_batches(
    source: Source,
    data_config: ml_collections.ConfigDict,
    *,
    batch_size: int,
    process_index: int = 0,
    process_count: int = 1,
) -> BatchStream:
    """Yields every image of the source exactly once over all processes, changed in size only.

    Images are ordered by the sizes that they are padded to, one of ``padded_sizes(data_config, training=False)`` per
    batch. All processes get the same number of batches, of the same shapes. The last batch of each size is completed by
    rows that are not ``valid``. Batches hold at most ``max_objects`` objects per image; ``coco.format.ground_truth``
    has all of them. Arguments are those of ``train_batches``.
    """
    share = share_of(batch_size, process_index, process_count)
    catalogue = catalogue_of(source, data_config)
    sides = data_config.min_size, data_config.max_size
    groups = scored_groups(catalogue, data_config)
    batches = [
        (padded, images[start : start + batch_size][share])
        for padded, images in groups.items()
        for start in range(0, len(images), batch_size)
    ]
    make = EvalBatch(
        source.records, batches, *sides, data_config.max_objects, share.stop - share.start, tuple(source.files)
    )
    # Threads start at once. Processes take seconds to start, but do not share Python's lock.
    workers = data_config.workers if len(source.records) >= MANY else 0
    return BatchStream(grain.MapDataset.range(len(batches)).map(make), workers=workers)


def largest_batch(source: Source, data_config: ml_collections.ConfigDict, *, training: bool) -> InstanceBatch:
    """Returns a filler batch of one row, of the largest size that occurs."""
    groups = (training_groups if training else scored_groups)(catalogue_of(source, data_config), data_config)
    return empty_batch(1, max(groups, key=math.prod), data_config.max_objects)


class TrainBatch(NamedTuple):
    """A function from a step to its training batch, for any process.

    Attributes:
      records: of the source.
      trained: indices of the records that are trained on.
      order: decides which of them are in a batch.
      padded: the size of the images of each group of the order.
      pipeline: their augmentations.
      max_objects: m.
      share: the rows of a batch that are made.
      files: the image file of each record, for errors.
    """

    records: Sequence[Record]
    trained: np.ndarray
    order: GroupedOrder
    padded: tuple[Size, ...]
    pipeline: Pipeline
    max_objects: int
    share: slice
    files: Sequence[str] = ()

    def __call__(self, step: int) -> InstanceBatch:
        """Makes the rows ``share`` of the batch of ``step``."""
        group, images = self.order.batch(step)
        batch = empty_batch(len(images[self.share]), self.padded[group], self.max_objects)
        for row, place in enumerate(range(len(images))[self.share]):
            rng = np.random.default_rng([self.order.seed, step * len(images) + place])
            index = int(images[place])
            with named_errors(self.files, index):
                example, original = self._example(rng, index)
                fill_row(batch, row, example, index, original)
        return batch

    def _example(self, rng: np.random.Generator, index: int) -> tuple[InstanceExample, Size]:
        """Returns the augmented image and its original size."""
        example, original = self._view(rng, index)
        return self.pipeline.augment_instances(rng, example, self._draw_other), original

    def _draw_other(self, rng: np.random.Generator) -> InstanceExample:
        """Samples another training image, resampled."""
        return self._view(rng, int(rng.choice(self.trained)))[0]

    def _view(self, rng: np.random.Generator, index: int) -> tuple[InstanceExample, Size]:
        """Returns an image resampled by a random view, and its original size."""
        with named_errors(self.files, index):
            example = example_of(self.records[index])
            size = example.image.shape[:2]
            return apply_view(example, self.pipeline.sample_view(rng, size)), size


class EvalBatch(NamedTuple):
    """A function from a number to its evaluation batch.

    Attributes:
      records: of the source.
      batches: the padded size of each batch, and the records in this process' share of it.
      min_size, max_size: see ``resized_size``.
      max_objects: m.
      rows: b, of this process.
      files: the image file of each record, for errors.
    """

    records: Sequence[Record]
    batches: Sequence[tuple[Size, np.ndarray]]
    min_size: int
    max_size: int
    max_objects: int
    rows: int
    files: Sequence[str] = ()

    def __call__(self, step: int) -> InstanceBatch:
        """Makes this process' rows of batch ``step``; rows without an image are not ``valid``."""
        padded, images = self.batches[step]
        batch = empty_batch(self.rows, padded, self.max_objects)
        for row, index in enumerate(images):
            with named_errors(self.files, int(index)):
                example = example_of(self.records[int(index)])
                size = example.image.shape[:2]
                view = whole_view(size, self.min_size, self.max_size)
                fill_row(batch, row, apply_view(example, view), int(index), size)
        return batch


def example_of(record: Record) -> InstanceExample:
    """Returns the image and the objects of a record."""
    if record.objects is None:
        raise ValueError(f"{record.name} has no objects; instance tasks need a data set with objects")
    return InstanceExample(record.image, record.objects)

"""From records to batches for detectors. Training batch t is a pure function of (seed, t).

Images are padded to a few sizes, one per batch, so that few programs are compiled. Resuming needs the number of the
step only. The number of processes and workers changes nothing.
"""

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import grain
import ml_collections
import numpy as np

from jaxseg.data.augment import Pipeline, read_pipeline
from jaxseg.data.instances.grouping import GroupedOrder
from jaxseg.data.instances.packing import empty_batch, fill_row
from jaxseg.data.instances.transforms import apply_view, check_sides, whole_view
from jaxseg.data.naming import named_errors
from jaxseg.data.resize import MULTIPLE, Size, bucket_of, buckets, resized_size
from jaxseg.data.semantic.batches import share_of
from jaxseg.data.stream import BatchStream
from jaxseg.types import Catalogue, InstanceBatch, InstanceExample, Record, Source

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
    trained = _trained(catalogue, data_config)
    _warn_of_crowded(catalogue.counts, data_config.max_objects)
    groups = _training_groups(catalogue, data_config)
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
    batch. All processes get equally many batches of equal shapes. The last ones of each size are filled up with rows
    that are not ``valid``. Batches hold at most ``max_objects`` objects per image; ``coco.format.ground_truth`` has
    all of them. Arguments are those of ``train_batches``.
    """
    share = share_of(batch_size, process_index, process_count)
    catalogue = catalogue_of(source, data_config)
    sides = data_config.min_size, data_config.max_size
    groups = _scored_groups(catalogue, data_config)
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
    """Returns filler of one row, of the largest size that batches of a source have."""
    groups = (_training_groups if training else _scored_groups)(catalogue_of(source, data_config), data_config)
    return empty_batch(1, max(groups, key=math.prod), data_config.max_objects)


def padded_sizes(data_config: ml_collections.ConfigDict, *, training: bool) -> tuple[Size, ...]:
    """Returns the (height, width) that images of batches can have; one program is compiled for each."""
    check_sides(data_config)
    if not training:
        return buckets(data_config.min_size, data_config.max_size)
    resize = read_pipeline(data_config, "instances").options["resize"]
    if not resize.jitters:
        return buckets(max(resize.choices), data_config.max_size)
    if any(side % MULTIPLE for side in resize.window):
        raise ValueError(
            f"config.data.crop_size is {resize.window}; expected multiples of {MULTIPLE}, since "
            "config.data.augment.scale_jitter pads all images to this size."
        )
    return (resize.window,)


class TrainBatch(NamedTuple):
    """Makes the batch of a step, in any process.

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
    """Makes the evaluation batch of a number.

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


def catalogue_of(source: Source, data_config: ml_collections.ConfigDict) -> Catalogue:
    """Returns the catalogue of a source.

    Raises:
      ValueError: the source has label maps only, or ``config.data.max_objects`` is not positive.
    """
    if data_config.max_objects < 1:
        raise ValueError(f"config.data.max_objects is {data_config.max_objects}; expected 1 or more.")
    if source.catalogue is None:
        raise ValueError(
            f"config.data.name is {data_config.name!r}, which has label maps but no objects; expected a data set of "
            "objects for task=instances. Set config.data.name=auto, coco or shapes, or config.data.instances for "
            "oxford_pets."
        )
    return source.catalogue


def _trained(catalogue: Catalogue, data_config: ml_collections.ConfigDict) -> np.ndarray:
    """Returns the numbers of the images to train on.

    Raises:
      ValueError: there are none.
    """
    trained = np.flatnonzero(catalogue.counts >= (0 if data_config.empty_images else 1))
    if trained.size == 0:
        raise ValueError(f"the split config.data.train of {data_config.name} has no image with an object to learn from")
    return trained


def _training_groups(catalogue: Catalogue, data_config: ml_collections.ConfigDict) -> dict[Size, np.ndarray]:
    """Returns the images to train on by the size that they are padded to."""
    resize = read_pipeline(data_config, "instances").options["resize"]
    side = None if resize.jitters else max(resize.choices)
    padded = padded_sizes(data_config, training=True)
    return _grouped(_trained(catalogue, data_config), catalogue.sizes, padded, side, data_config.max_size)


def _scored_groups(catalogue: Catalogue, data_config: ml_collections.ConfigDict) -> dict[Size, np.ndarray]:
    """Returns the images of an evaluation by the size that they are padded to."""
    padded, everything = padded_sizes(data_config, training=False), np.arange(len(catalogue.sizes))
    return _grouped(everything, catalogue.sizes, padded, data_config.min_size, data_config.max_size)


def _grouped(
    images: np.ndarray, sizes: np.ndarray, padded: Sequence[Size], min_size: int | None, max_size: int
) -> dict[Size, np.ndarray]:
    """Groups images by the one of ``padded`` that they are padded to; without a ``min_size`` there is only one."""
    if min_size is None:
        return {padded[0]: images}
    # Data sets have few different sizes.
    kinds, kind_of = np.unique(sizes[images], axis=0, return_inverse=True)
    chosen = [bucket_of(resized_size(tuple(map(int, kind)), min_size, max_size), padded) for kind in kinds]
    return {size: images[np.array([choice == size for choice in chosen])[kind_of]] for size in padded if size in chosen}


def _warn_of_crowded(counts: np.ndarray, max_objects: int) -> None:
    crowded = np.count_nonzero(counts > max_objects)
    if crowded:
        warnings.warn(
            f"{crowded} image(s) have more than config.data.max_objects={max_objects} objects, one of them "
            f"{counts.max()}: the smallest objects of these images are not trained on",
            stacklevel=3,
        )

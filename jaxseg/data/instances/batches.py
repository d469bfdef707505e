"""From records to batches for detectors. Training batch t is a pure function of (seed, t).

Images are padded to a few sizes only, one for each batch, so that few programs are compiled. The number of the step is
all that resuming needs, as in ``data/batches.py``; who shares the work changes nothing.
"""

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
from jaxseg.data.resize import MULTIPLE, Size, bucket_of, buckets, resized_size
from jaxseg.data.semantic.batches import share_of
from jaxseg.data.stream import BatchStream
from jaxseg.types import Catalogue, InstanceBatch, InstanceExample, Record, Source

ENDLESS = 1 << 40  # steps
MANY = 1000  # images that are worth starting processes for


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
    """Augmented batches without end, from step ``start_step`` on; the arguments are those of ``batches.train_batches``.

    All images of a batch, over all processes, are padded to the same of ``padded_sizes(data_config, training=True)``.

    Returns:
      An iterator of ``InstanceBatch`` with ``b / n`` images each; close it, or use it in a ``with`` statement.
    """
    share = share_of(batch_size, process_index, process_count)
    pipeline = read_pipeline(data_config, "instances")
    catalogue = catalogue_of(source, data_config)
    learnt = np.flatnonzero(catalogue.counts >= (0 if data_config.empty_images else 1))
    if learnt.size == 0:
        raise ValueError(f"the split config.data.train of {data_config.name} has no image with an object to learn from")
    _warn_of_crowded(catalogue.counts, data_config.max_objects)
    sizes = padded_sizes(data_config, training=True)
    resize = pipeline.options["resize"]
    side = None if resize.jitters else max(resize.choices)
    groups = _grouped(learnt, catalogue.sizes, sizes, side, data_config.max_size)
    order = GroupedOrder(tuple(groups.values()), batch_size, seed)
    make = TrainBatch(source.records, learnt, order, tuple(groups), pipeline, data_config.max_objects, share)
    return BatchStream(grain.MapDataset.range(ENDLESS).map(make)[start_step:], workers=data_config.workers)


def eval_batches(
    source: Source,
    data_config: ml_collections.ConfigDict,
    *,
    batch_size: int,
    process_index: int = 0,
    process_count: int = 1,
) -> BatchStream:
    """Every image of the source exactly once over all processes, unaltered but for its size.

    Images come in the order of the sizes that they are padded to, one of ``padded_sizes(data_config, training=False)``
    a batch. All processes get equally many batches, of equal shapes; the last ones of each size are filled up with rows
    that are not ``valid``. Objects are those for which a batch has room: what is to be scored against all of them asks
    ``coco_format.ground_truth``. The arguments are those of ``train_batches``.
    """
    share = share_of(batch_size, process_index, process_count)
    catalogue = catalogue_of(source, data_config)
    sides = data_config.min_size, data_config.max_size
    groups = _grouped(
        np.arange(len(source.records)), catalogue.sizes, padded_sizes(data_config, training=False), *sides
    )
    batches = [
        (padded, images[start : start + batch_size][share])
        for padded, images in groups.items()
        for start in range(0, len(images), batch_size)
    ]
    make = EvalBatch(source.records, batches, *sides, data_config.max_objects, share.stop - share.start)
    # Threads start at once; processes take seconds, but then they do not wait for Python's lock.
    workers = data_config.workers if len(source.records) >= MANY else 0
    return BatchStream(grain.MapDataset.range(len(batches)).map(make), workers=workers)


def padded_sizes(data_config: ml_collections.ConfigDict, *, training: bool) -> tuple[Size, ...]:
    """The (height, width) that images of batches can have: as many programs are compiled."""
    check_sides(data_config)
    if not training:
        return buckets(data_config.min_size, data_config.max_size)
    resize = read_pipeline(data_config, "instances").options["resize"]
    if not resize.jitters:
        return buckets(max(resize.choices), data_config.max_size)
    if any(side % MULTIPLE for side in resize.window):
        raise ValueError(
            f"config.data.image_size is {resize.window}; expected multiples of {MULTIPLE}, since "
            "config.data.augment.scale_jitter pads all images to this size."
        )
    return (resize.window,)


class TrainBatch(NamedTuple):
    """Makes the batch of a step, in whatever process it is called.

    Attributes:
      records: of the source.
      learnt: which of them are learnt from.
      order: which of them are in a batch.
      padded: the size of the images of each group of the order.
      pipeline: their augmentations.
      max_objects: m.
      share: the rows of a batch that are made.
    """

    records: Sequence[Record]
    learnt: np.ndarray
    order: GroupedOrder
    padded: tuple[Size, ...]
    pipeline: Pipeline
    max_objects: int
    share: slice

    def __call__(self, step: int) -> InstanceBatch:
        """The rows ``share`` of the batch of ``step``."""
        group, images = self.order.batch(step)
        batch = empty_batch(len(images[self.share]), self.padded[group], self.max_objects)
        for row, place in enumerate(range(len(images))[self.share]):
            rng = np.random.default_rng([self.order.seed, step * len(images) + place])
            index = int(images[place])
            example, original = self._example(rng, index)
            fill_row(batch, row, example, index, original)
        return batch

    def _example(self, rng: np.random.Generator, index: int) -> tuple[InstanceExample, Size]:
        """Returns the augmented image and its original size."""
        example, original = self._view(rng, index)
        return self.pipeline.augment_instances(rng, example, self._draw_other), original

    def _draw_other(self, rng: np.random.Generator) -> InstanceExample:
        """Samples another training image, resampled."""
        return self._view(rng, int(rng.choice(self.learnt)))[0]

    def _view(self, rng: np.random.Generator, index: int) -> tuple[InstanceExample, Size]:
        """Returns an image resampled by a random view, and its original size."""
        example = example_of(self.records[index])
        size = example.image.shape[:2]
        return apply_view(example, self.pipeline.sample_view(rng, size)), size


class EvalBatch(NamedTuple):
    """Makes the evaluation batch of a number.

    Attributes:
      records: of the source.
      batches: of each batch the size of its images, and those of its records that fall to this process.
      min_size, max_size: see ``resized_size``.
      max_objects: m.
      rows: b, of this process.
    """

    records: Sequence[Record]
    batches: Sequence[tuple[Size, np.ndarray]]
    min_size: int
    max_size: int
    max_objects: int
    rows: int

    def __call__(self, step: int) -> InstanceBatch:
        """The process' own rows of batch ``step``; those beyond the images of that size are not ``valid``."""
        padded, images = self.batches[step]
        batch = empty_batch(self.rows, padded, self.max_objects)
        for row, index in enumerate(images):
            example = example_of(self.records[int(index)])
            size = example.image.shape[:2]
            fill_row(batch, row, apply_view(example, whole_view(size, self.min_size, self.max_size)), int(index), size)
        return batch


def example_of(record: Record) -> InstanceExample:
    """A record as detectors see it."""
    if record.objects is None:
        raise ValueError(f"{record.name} has no objects; instance tasks need a data set with objects")
    return InstanceExample(record.image, record.objects)


def catalogue_of(source: Source, data_config: ml_collections.ConfigDict) -> Catalogue:
    """The source's.

    Raises:
      ValueError: it has none, so it is no data set for detectors; or there is no room for objects.
    """
    if data_config.max_objects < 1:
        raise ValueError(f"config.data.max_objects is {data_config.max_objects}; expected 1 or more")
    if source.catalogue is None:
        raise ValueError(
            f"config.data.name={data_config.name} has label maps but no objects, which instance tasks need; take coco, "
            "shapes, or oxford_pets with config.data.instances"
        )
    return source.catalogue


def _grouped(
    images: np.ndarray, sizes: np.ndarray, padded: Sequence[Size], min_size: int | None, max_size: int
) -> dict[Size, np.ndarray]:
    """The images by the size that they are padded to, one of ``padded``; without a ``min_size`` there is only one."""
    if min_size is None:
        return {padded[0]: images}
    # Most images of a data set have one of few sizes.
    kinds, kind_of = np.unique(sizes[images], axis=0, return_inverse=True)
    chosen = [bucket_of(resized_size(tuple(map(int, kind)), min_size, max_size), padded) for kind in kinds]
    return {size: images[np.array([choice == size for choice in chosen])[kind_of]] for size in padded if size in chosen}


def _warn_of_crowded(counts: np.ndarray, max_objects: int) -> None:
    crowded = np.count_nonzero(counts > max_objects)
    if crowded:
        warnings.warn(
            f"{crowded} image(s) have more than config.data.max_objects={max_objects} objects, one of them "
            f"{counts.max()}: of these images the smallest objects are not learnt from",
            stacklevel=3,
        )

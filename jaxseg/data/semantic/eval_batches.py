"""Makes the batches of an evaluation: groups images by size and pads each group."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxseg.data.image_sizes import group_by_size, image_sizes, padded_size
from jaxseg.data.naming import named_errors
from jaxseg.data.resize import Size
from jaxseg.data.semantic.sizing import Sizing
from jaxseg.types import IGNORE, Batch, Example, Source


class Group(NamedTuple):
    """Images that share their padded sizes in an evaluation.

    Attributes:
      images: their numbers, int ``[n]``.
      size: (height, width) that they are padded to.
      original: (height, width) that their original label maps are padded to; None if these are not needed.
    """

    images: np.ndarray
    size: Size
    original: Size | None


def evaluation_groups(source: Source, sizing: Sizing, original: bool) -> list[Group]:
    """Returns the groups of an evaluation, see ``eval_batches``."""
    if sizing.stretches and not original:
        everything = np.arange(len(source.records))
        return [Group(everything, sizing.size, None)] if everything.size else []
    sizes, groups = image_sizes(source), []
    for images in group_by_size(sizes):
        seen = np.array([sizing.target(tuple(map(int, size))) for size in sizes[images]])
        groups.append(Group(images, padded_size(seen), padded_size(sizes[images]) if original else None))
    return groups


class EvalBatch(NamedTuple):
    """A function from a number to its evaluation batch.

    Attributes:
      examples: of the source.
      batches: the group of each batch, and those of its images that fall to this process.
      padded: whether images are smaller than their batch.
      rows: b, of this process.
      files: the image file of each example, for errors.
    """

    examples: Sequence[Example]
    batches: Sequence[tuple[Group, np.ndarray]]
    padded: bool
    rows: int
    files: Sequence[str] = ()

    def __call__(self, step: int) -> Batch:
        """Returns the process' own rows of batch ``step``; those beyond the end of the group are not ``valid``."""
        group, images = self.batches[step]
        batch = empty_batch(group, self.rows, self.padded)
        for row, index in enumerate(images):
            with named_errors(self.files, int(index)):
                example = self.examples[int(index)]
            height, width = example.label.shape
            batch.image[row, :height, :width] = example.image
            batch.label[row, :height, :width] = example.label
            batch.valid[row], batch.index[row] = True, index
            if batch.sizes is not None:
                batch.sizes[row] = height, width
            if batch.original is not None:
                height, width = batch.original_sizes[row] = example.original.shape
                batch.original[row, :height, :width] = example.original
        return batch


def empty_batch(group: Group, rows: int, padded: bool) -> Batch:
    """Returns filler alone: black images without labels, none of them ``valid``."""

    def whole(size: Size) -> np.ndarray:
        return np.tile(np.array(size, np.int32), (rows, 1))

    original = group.original
    return Batch(
        image=np.zeros((rows, *group.size, 3), np.uint8),
        label=np.full((rows, *group.size), IGNORE, np.uint8),
        valid=np.zeros(rows, bool),
        index=np.full(rows, -1, np.int32),
        sizes=whole(group.size) if padded else None,
        original=np.full((rows, *original), IGNORE, np.uint8) if original else None,
        original_sizes=whole(original) if original else None,
    )

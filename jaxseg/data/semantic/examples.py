"""The records of a source as resized examples, cached where the config says so."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import ml_collections
import numpy as np

from jaxseg.data.cache import CachedExamples
from jaxseg.data.image_sizes import image_sizes
from jaxseg.data.resize import Size
from jaxseg.data.semantic import transforms
from jaxseg.data.semantic.sizing import Sizing
from jaxseg.storage.local_copies import local_folder
from jaxseg.types import Example, Source


class Constant(NamedTuple):
    """A function that returns one size for every image."""

    size: Size

    def __call__(self, size: Size) -> Size:
        """Returns the size."""
        return self.size


class Examples(Sequence):
    """The records of a source as examples, resized.

    Args:
      source: the records.
      size_of: the size of an image -> the size that it gets.
      sizing: says how images are resized.
      original: whether examples have the original label map, too.
    """

    def __init__(self, source: Source, size_of: Callable[[Size], Size], sizing: Sizing, original: bool):
        self.records = source.records
        self.class_count = len(source.class_names)
        self.size_of = size_of
        self.sizing = sizing
        self.original = original

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Example:
        record = transforms.check_label(self.records[index], self.class_count)
        size = self.size_of(record.label.shape)
        image, label = self.sizing.resize_image(record.image, size), self.sizing.resize_label(record.label, size)
        return Example(image, label, original=record.label if self.original else None)


def resized_examples(
    source: Source,
    data_config: ml_collections.ConfigDict,
    size_of: Callable[[Size], Size],
    sizing: Sizing,
    original: bool = False,
) -> Sequence[Example]:
    """Returns the examples of a source, cached where the config says so."""
    examples = Examples(source, size_of, sizing, original)
    if not data_config.cache or not source.fingerprint:
        return examples
    directory = local_folder(data_config.dir) / "cache"
    if sizing.stretches and not original:
        return CachedExamples(examples, size_of(sizing.size), source.fingerprint, directory)
    originals = image_sizes(source)
    sizes = np.array([size_of(tuple(map(int, size))) for size in originals], np.int64).reshape(-1, 2)
    # Sizes alone do not say how an image was resized.
    fingerprint = f"{source.fingerprint} {'stretch' if sizing.stretches else 'pillow'}"
    return CachedExamples(examples, sizes, fingerprint, directory, originals if original else None)

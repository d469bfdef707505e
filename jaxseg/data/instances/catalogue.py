"""The images of a split that are trained on or scored, grouped by the size that they are padded to."""

import warnings
from collections.abc import Sequence

import ml_collections
import numpy as np

from jaxseg.data.augment import read_pipeline
from jaxseg.data.instances.transforms import check_sides
from jaxseg.data.resize import MULTIPLE, Size, bucket_of, buckets, resized_size
from jaxseg.types import Catalogue, Source


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


def trained_images(catalogue: Catalogue, data_config: ml_collections.ConfigDict) -> np.ndarray:
    """Returns the numbers of the images to train on.

    Raises:
      ValueError: there are none.
    """
    trained = np.flatnonzero(catalogue.counts >= (0 if data_config.empty_images else 1))
    if trained.size == 0:
        raise ValueError(f"the split config.data.train of {data_config.name} has no image with an object to learn from")
    return trained


def training_groups(catalogue: Catalogue, data_config: ml_collections.ConfigDict) -> dict[Size, np.ndarray]:
    """Returns the images to train on by the size that they are padded to."""
    resize = read_pipeline(data_config, "instances").options["resize"]
    side = None if resize.jitters else max(resize.choices)
    padded = padded_sizes(data_config, training=True)
    return _grouped(trained_images(catalogue, data_config), catalogue.sizes, padded, side, data_config.max_size)


def scored_groups(catalogue: Catalogue, data_config: ml_collections.ConfigDict) -> dict[Size, np.ndarray]:
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


def warn_of_crowded(counts: np.ndarray, max_objects: int) -> None:
    crowded = np.count_nonzero(counts > max_objects)
    if crowded:
        warnings.warn(
            f"{crowded} image(s) have more than config.data.max_objects={max_objects} objects, one of them "
            f"{counts.max()}: the smallest objects of these images are not trained on",
            stacklevel=3,
        )

"""Selects images of a split by the objects in them, for trials or to train on easy images first."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from jaxseg.data.coco.format import annotations_of
from jaxseg.data.splits import SEED
from jaxseg.types import Record, Source


def select(source: Source, data_config: ml_collections.ConfigDict) -> Source:
    """Selects the images that meet ``config.data.select``, in order.

    Raises:
      ValueError: the data set has no objects to select by, or no image is left.
    """
    chosen = data_config.select
    by_objects = chosen.most_objects or chosen.least_share or not chosen.crowds
    if not by_objects and not chosen.first:
        return source
    if by_objects and source.catalogue is None:
        raise ValueError(
            f"config.data.select chooses images by their objects, but {data_config.name} has label maps only: set "
            "most_objects and least_share to 0 and crowds to True"
        )
    most = chosen.first or len(source.records)
    indices: list[int] = []
    for index in range(len(source.records)):
        if not by_objects or _meets(source, index, chosen):
            indices.append(index)
        if len(indices) == most:
            break
    if not indices:
        raise ValueError(f"no image of {data_config.name} meets config.data.select: {chosen.to_dict()}")
    return select_images(source, indices)


class Fold(NamedTuple):
    """A part of a split, for cross-validation.

    Attributes:
      number: the number of the fold, from 0.
      count: how many folds there are.
      others: whether all folds but this one are meant.
    """

    number: int
    count: int
    others: bool


def read_fold(split: str) -> tuple[str, Fold | None]:
    """Returns the name of a split, and the fold of it that is meant.

    Raises:
      ValueError: there is no such fold.

    Examples:
      >>> read_fold("train")
      ('train', None)
      >>> read_fold("train[!0/5]")
      ('train', Fold(number=0, count=5, others=True))
    """
    found = re.fullmatch(r"(.+)\[(!?)(\d+)/(\d+)\]", split)
    if found is None:
        return split, None
    fold = Fold(int(found[3]), int(found[4]), bool(found[2]))
    if fold.count < 2 or fold.number >= fold.count:
        raise ValueError(f"the split {split} is no fold; expected a number below that of the folds, as in train[0/5].")
    return found[1], fold


def select_fold(source: Source, fold: Fold, seed: int | None) -> Source:
    """Selects a fold of a split; the images are dealt to the folds at random, in equal numbers up to one.

    Args:
      source: the split.
      fold: which part of it.
      seed: of the random order; None uses ``SEED``.

    Raises:
      ValueError: there are fewer images than folds.
    """
    count = len(source.records)
    if count < fold.count:
        raise ValueError(f"the split has {count} images; expected at least one for each of {fold.count} folds.")
    order = np.random.default_rng(SEED if seed is None else seed).permutation(count)
    own = np.zeros(count, bool)
    own[order[fold.number :: fold.count]] = True
    return select_images(source, np.flatnonzero(own != fold.others).tolist())


def select_images(source: Source, indices: Sequence[int]) -> Source:
    """Returns a source with some of its records."""
    catalogue = source.catalogue
    if catalogue is not None:
        own = catalogue.annotations
        catalogue = catalogue._replace(
            sizes=catalogue.sizes[indices],
            counts=catalogue.counts[indices],
            image_ids=[catalogue.image_ids[index] for index in indices],
            annotations=None if own is None else Taken(own, indices),
        )
    fingerprint = source.fingerprint and f"{source.fingerprint} {list(indices)}"
    findings = source.findings
    if findings is not None:  # what was counted over all images is not known of some
        sizes = None if findings.sizes is None else np.asarray(findings.sizes)[indices]
        findings = findings._replace(images=len(indices), sizes=sizes, shares=(), objects=(), crowds=0, empty=0)
    return source._replace(
        records=Records(source.records, indices),
        fingerprint=fingerprint,
        catalogue=catalogue,
        files=[source.files[index] for index in indices] if source.files else (),
        findings=findings,
        size_of=source.size_of and Taken(source.size_of, indices),
    )


class Records(Sequence):
    """Some of the records of another sequence."""

    def __init__(self, records: Sequence[Record], indices: Sequence[int]):
        self.records = records
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Record:
        return self.records[self.indices[index]]


class Taken:
    """A function of an image's number, such as ``catalogue.annotations``, for some of the images."""

    def __init__(self, function: Callable[[int], Any], indices: Sequence[int]):
        self.function = function
        self.indices = indices

    def __call__(self, index: int) -> Any:
        """Returns what the function gives for image ``index`` of these."""
        return self.function(self.indices[index])


def _meets(source: Source, index: int, chosen: ml_collections.ConfigDict) -> bool:
    """Returns whether an image has objects and all of them meet the conditions."""
    objects = annotations_of(source, index)
    area = float(np.prod(source.catalogue.sizes[index]))
    return (
        len(objects) > 0
        and (not chosen.most_objects or len(objects) <= chosen.most_objects)
        and (chosen.crowds or not any(one.get("iscrowd") for one in objects))
        and all(one["area"] >= chosen.least_share * area for one in objects)
    )

"""What is wrong between splits: near-duplicates, classes that one split lacks, other colors or ranges of values."""

from collections.abc import Mapping, Sequence

import numpy as np

from jaxseg.data.coco.classes import UNUSED
from jaxseg.data.report import Notice
from jaxseg.data.statistics import Statistics

ALIKE_BITS = 4  # of 64: images with hashes that differ in at most this many bits are near-duplicates
FLAT_BITS = 6  # hashes with fewer bits are those of nearly uniform images, which all look alike
LEAST_RANGE = 0.25  # a range of values below this share of the other split's is a problem


def near_duplicates(first: Statistics, second: Statistics) -> list[tuple[int, int]]:
    """Returns pairs of images of two splits that look alike: the index in the first and in the second split."""
    rows, columns = (np.flatnonzero(_is_distinct(one.hashes)) for one in (first, second))
    pairs = []
    for start in range(0, len(rows), 512):
        part = rows[start : start + 512]
        distances = np.bitwise_count(first.hashes[part][:, None] ^ second.hashes[columns])
        pairs += [(int(part[i]), int(columns[j])) for i, j in zip(*np.nonzero(distances <= ALIKE_BITS), strict=True)]
    return [(int(first.hashed[i]), int(second.hashed[j])) for i, j in pairs]


def _is_distinct(hashes: np.ndarray) -> np.ndarray:
    bits = np.bitwise_count(hashes)
    return (bits >= FLAT_BITS) & (bits <= 64 - FLAT_BITS)


def compare_splits(splits: Mapping[str, Statistics], files: Mapping[str, Sequence[str]]) -> list[Notice]:
    """Returns what is wrong between the training split and each other one.

    Args:
      splits: the numbers of each split, the training split first.
      files: the files of each split; empty where there are none.
    """
    (train_name, train), *others = splits.items()
    notices = []
    for name, other in others:
        notices += _class_problems(train_name, train, name, other)
        notices += _value_problems(train_name, train, name, other)
        pairs = near_duplicates(train, other)
        if pairs:
            first = files[name][pairs[0][1]] if files.get(name) else f"image {pairs[0][1]}"
            count = len({j for _, j in pairs})
            text = f"look like an image of {train_name}, so scores of {name} are too good"
            twin = _file(files, train_name, pairs[0][0])
            remedy = f"Put images of the same scene into one split. The first looks like {twin}"
            notices.append(Notice(text, f"images of {name}", count, len(other.hashes), first, remedy))
    return notices


def _file(files: Mapping[str, Sequence[str]], split: str, index: int) -> str:
    return files[split][index] if files.get(split) else f"image {index} of {split}"


def _class_problems(train_name: str, train: Statistics, name: str, other: Statistics) -> list[Notice]:
    notices = []
    if train.class_names != other.class_names:
        differing = [
            one
            for one in (*train.class_names, *other.class_names)
            if (one in train.class_names) != (one in other.class_names)
        ]
        text = f"differ between {train_name} and {name}"
        first = differing[0] if differing else "their order"
        remedy = "Give all splits the same classes in the same order"
        return [Notice(text, "class names", max(len(differing), 1), 0, first, remedy)]
    if not np.array_equal(train.palette, other.palette):
        differs = np.flatnonzero((train.palette != other.palette).any(axis=-1))
        text = f"have other colors in {name} than in {train_name}"
        first = train.class_names[differs[0]]
        notices.append(
            Notice(text, "classes", len(differs), len(train.palette), first, "Check the palettes of the masks")
        )
    for here, there, where, elsewhere in ((train, other, train_name, name), (other, train, name, train_name)):
        amounts = [(one.objects if one.objects is not None else one.shares) for one in (here, there)]
        if any(one is None for one in amounts):
            continue
        missing = np.flatnonzero((amounts[0] > 0) & (amounts[1] == 0))
        if len(missing):
            of_read = "" if there.objects is not None else f" in {there.read} images that were read"
            text = f"occur in {where}, but not in {elsewhere}{of_read}"
            remedy = "Divide the images so that every class is in all splits, or divide at random with data.split_seed"
            names = [here.class_names[number] for number in missing]
            notices.append(Notice(text, "classes", len(names), _class_count(here), names[0], remedy))
    return notices


def _class_count(statistics: Statistics) -> int:
    """Returns the number of classes that a split can have; of objects, none is background."""
    names = statistics.class_names if statistics.objects is None else statistics.class_names[1:]
    return sum(name != UNUSED for name in names)


def _value_problems(train_name: str, train: Statistics, name: str, other: Statistics) -> list[Notice]:
    if not train.read or not other.read:
        return []
    notices = []
    for here, there, where, elsewhere in ((train, other, train_name, name), (other, train, name, train_name)):
        spans = [one.values[2] - one.values[0] for one in (here, there)]
        if spans[0] < LEAST_RANGE * spans[1]:
            own, others = (f"{one.values[0]:.0f} to {one.values[2]:.0f}" for one in (here, there))
            text = f"have values from {own}, those of {elsewhere} from {others}"
            remedy = "Were they exported in another way? Set data.value_range"
            notices.append(Notice(text, f"images of {where}", here.read, here.images, "the darkest", remedy))
    return notices

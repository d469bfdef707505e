"""Anybody's own data: a folder of images and a folder of label maps, without a line of code."""

import functools
from collections.abc import Sequence
from pathlib import Path

import ml_collections
import numpy as np

from jaxseg.data.colors import distinct_colors
from jaxseg.data.images import read_options
from jaxseg.data.masks import read_palette, read_values
from jaxseg.data.sources.pairs import (
    DataSet,
    Pair,
    check_split,
    files_by_stem,
    open_pairs,
    read_list,
    source_folder,
)
from jaxseg.data.splits import SEED, divide
from jaxseg.types import IGNORE, Source

LISTS = ("train", "val", "test")
BINARY = {0: 0, IGNORE: 1}
ORIGIN = (
    "A data set of your own has images/NAME.jpg, or another ending, and for each masks/NAME.png: one number a pixel, "
    "the class from 0, or 255 where none is to be learnt; and, if you like, classes.txt with a class name a line, and "
    "train.txt, val.txt and test.txt with an image name a line"
)


def open_split(data_config: ml_collections.ConfigDict, split: str) -> Source:
    """The source ``folder``: ``images/`` and ``masks/`` in ``config.data.source_dir``, matched by stems.

    Masks are gray or palette images of class numbers; images without a mask are left out.

    Splits: the lists ``train.txt``, ``val.txt`` and ``test.txt`` where there is any of them. Without, or with
    ``config.data.split_seed``, ``config.data.val_fraction`` of the images, drawn with that seed, are ``val`` and the
    others ``train``. ``all`` is every image.

    Classes: the lines of ``classes.txt``; without it the numbers that the masks hold, which must then be 0, 1, 2 ...
    without a gap (all masks are read once for that). 255 is ignored, but for one common case: where no mask holds
    anything but 0 and 255, and ``classes.txt`` does not name more than two classes, 255 is class 1 of two, named
    background and foreground unless there are names.

    Raises:
      ValueError: a file is missing, or the masks' numbers are no classes.
    """
    folder = source_folder(data_config, ORIGIN)
    pairs = _pairs(folder)
    chosen = _select(folder, sorted(pairs), data_config, split)
    missing = [name for name in chosen if name not in pairs]
    if missing:
        raise ValueError(f"{folder}/masks/{missing[0]}.* is missing, which {split}.txt names. {ORIGIN}")
    return open_pairs(
        _data_set(folder, tuple(pairs.values())), [pairs[name] for name in chosen], read_options(data_config)
    )


def _pairs(folder: Path) -> dict[str, Pair]:
    """The images that have a mask, by stem."""
    images, masks = (files_by_stem(folder / part, ORIGIN) for part in ("images", "masks"))
    for stem, mask in masks.items():
        if stem not in images:
            raise ValueError(f"{folder}/images/{stem}.* is missing, for {mask}. {ORIGIN}")
    return {stem: Pair(stem, images[stem], mask) for stem, mask in masks.items()}


def _select(folder: Path, names: list[str], data_config: ml_collections.ConfigDict, split: str) -> list[str]:
    if split == "all":
        return names
    lists = [which for which in LISTS if (folder / f"{which}.txt").exists()]
    if lists and data_config.split_seed is None:
        check_split("folder", split, (*lists, "all"))
        return read_list(folder / f"{split}.txt", ORIGIN)
    check_split("folder", split, ("train", "val", "all"))
    share = data_config.val_fraction
    if not 0 < share < 1 or len(names) < 2:
        raise ValueError(
            f"config.data.val_fraction is {share} of {len(names)} image(s); expected more than 0 and less than 1, of "
            "two images or more"
        )
    return divide(names, share, SEED if data_config.split_seed is None else data_config.split_seed)[split]


def _data_set(folder: Path, pairs: Sequence[Pair]) -> DataSet:
    """The classes of all masks, whichever split they are in."""
    names = _class_names(folder)
    states = tuple(pair.label.stat().st_mtime_ns for pair in pairs)
    # Names alone say what the numbers mean, unless there are two: 255 may be the second.
    found = _found(tuple(pair.label for pair in pairs), states) if len(names) in (0, 2) else ()
    if set(found) == {0, IGNORE}:
        names, values = names or ("background", "foreground"), BINARY
    else:
        names = names or _numbered(folder, [value for value in found if value != IGNORE])
        values = {value: value for value in range(len(names))} | {IGNORE: IGNORE}
    colors = _colors(pairs[0].label, [value for value in values if values[value] != IGNORE])
    return DataSet("folder", dict(zip(names, colors, strict=True)), values, ORIGIN)


def _class_names(folder: Path) -> tuple[str, ...]:
    """The names in ``classes.txt``; none without it."""
    path = folder / "classes.txt"
    if not path.exists():
        return ()
    names = tuple(line.strip() for line in path.read_text().splitlines() if line.strip())
    if not 2 <= len(names) <= IGNORE or len(set(names)) < len(names):
        raise ValueError(f"{path} has {len(set(names))} different names in {len(names)} lines; expected 2 to 255 names")
    return names


@functools.lru_cache(maxsize=4)  # train, val and test ask for the same
def _found(masks: tuple[Path, ...], states: tuple[int, ...]) -> tuple[int, ...]:
    """The numbers that masks hold, sorted; ``states`` tell a mask from what it was before."""
    del states
    counts = np.zeros(256, np.int64)
    for mask in masks:
        counts += np.bincount(read_values(mask).ravel(), minlength=256)
    return tuple(int(value) for value in np.flatnonzero(counts))


def _numbered(folder: Path, values: list[int]) -> tuple[str, ...]:
    if len(values) < 2 or values != list(range(len(values))):
        raise ValueError(
            f"the masks in {folder / 'masks'} hold the numbers {', '.join(map(str, values)) or 'of no class'}; "
            "expected 0, 1, 2 ... without a gap, or a file classes.txt that names every class from 0, a line each"
        )
    return tuple(f"class {value}" for value in values)


def _colors(mask: Path, values: list[int]) -> list[list[int]]:
    """Returns the mask's own colors of the classes; without a palette, black and then colors that differ."""
    palette = read_palette(mask)
    generated = [[0, 0, 0], *distinct_colors(len(values) - 1).tolist()]
    return palette[values].tolist() if len(palette) > max(values) else generated

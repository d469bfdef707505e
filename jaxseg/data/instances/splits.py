"""Finds the images of a split in a data set of objects, under any usual name of its folders and files."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import ml_collections

from jaxseg.data.report import Notices
from jaxseg.data.splits import SEED, divide

T = TypeVar("T")

# What people call the splits.
NAMES = {
    "train": ("train", "training", "Train"),
    "val": ("val", "valid", "validation", "Validation"),
    "test": ("test", "testing", "Test"),
}
ALL = "all"


class Part(NamedTuple):
    """Where a split is found.

    Attributes:
      places: names of the parts of the data set that hold it.
      half: "train" or "val" where the images of the part are divided by chance; "" where all belong to the split.
    """

    places: tuple[str, ...]
    half: str = ""


def names_of(split: str) -> tuple[str, ...]:
    """Returns the names under which a split may be found.

    Example:
      >>> names_of("val")
      ('val', 'valid', 'validation', 'Validation')
    """
    return next((names for names in NAMES.values() if split in names), (split,))


def find_part(found: Sequence[str], split: str, data_config: ml_collections.ConfigDict) -> Part:
    """Finds a split among the parts of a data set. Where there is no validation split, one is drawn from the others.

    Args:
      found: the parts that exist: names of splits, or "all" for one without splits.
      split: the split.
      data_config: ``config.data``.

    Raises:
      ValueError: there is no such split and none can be drawn.
    """
    if split == ALL:
        return Part(tuple(found))
    own = [name for name in names_of(split) if name in found]
    has_val = any(name in found for name in names_of("val"))
    whole = next((name for name in (*names_of("train"), ALL) if name in found), None)
    draws_val = data_config.split_seed is not None or data_config.val in names_of("val")
    if own and not (split in names_of("train") and draws_val and not has_val):
        return Part((own[0],))
    if whole is not None and not has_val:
        if split in names_of("train"):
            return Part((whole,), "train" if draws_val else "")
        if split in names_of("val"):
            return Part((whole,), "val")
    if whole == ALL and split in names_of("train"):
        return Part((whole,))
    field = next((kind for kind in ("train", "val", "test") if data_config[kind] == split), "train")
    raise ValueError(
        f"config.data.{field} is {split!r}; expected one of the splits that {data_config.name} has in "
        f"{data_config.source_dir}: {', '.join(found)}. Set, for example, config.data.{field}={next(iter(found))}."
    )


def choose(items: Mapping[str, T], part: Part, data_config: ml_collections.ConfigDict, notices: Notices) -> list[T]:
    """Returns the items of a split: all, or the half of them that is drawn by chance.

    Args:
      items: by the names of their images.
      part: where the split was found.
      data_config: ``config.data``.
      notices: gets the remark that the split was drawn.
    """
    if not part.half:
        return list(items.values())
    share, seed = data_config.val_fraction, data_config.split_seed
    if not 0 < share < 1 or len(items) < 2:
        raise ValueError(
            f"config.data.val_fraction is {share} of {len(items)} image(s); expected more than 0 and less than 1, of "
            "two images or more. Set config.data.val='' to train without a validation split."
        )
    names = divide(list(items), share, SEED if seed is None else seed)[part.half]
    if seed is None:
        text = f"are drawn at random for {part.half}, since the data has no validation split"
        notices.add(text, "images", names[0], count=len(names), of=len(items), is_problem=False)
    chosen = set(names)
    return [item for name, item in items.items() if name in chosen]

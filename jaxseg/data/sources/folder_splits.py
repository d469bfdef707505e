"""Which images of a folder are of a split: by folders, by lists of names, or by chance."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import ml_collections

from jaxseg.data.images import printable
from jaxseg.data.report import Notices
from jaxseg.data.sources.matching import ENDINGS, SPLITS
from jaxseg.data.splits import SEED, divide
from jaxseg.data.text_files import read_lines

LIST_FOLDERS = (".", "ImageSets/Segmentation", "splits", "lists")
ALL = "all"


def find_lists(folder: Path) -> dict[str, Path]:
    """Returns the lists of image names in a folder, by split; names of lists may differ as those of folders may."""
    for place in LIST_FOLDERS:
        found = {
            split: folder / place / f"{name}.txt"
            for split, names in SPLITS.items()
            for name in reversed(names)
            if (folder / place / f"{name}.txt").is_file()
        }
        if found:
            return found
    return {}


def read_names(path: Path, known: Mapping[str, object]) -> tuple[list[str], list[str]]:
    """Reads a list of image names, one per line.

    A line is a name with or without folders and ending, with slashes or back-slashes. Where the whole line is not
    known, its first word counts.

    Args:
      path: the list.
      known: the keys of the images, see ``matching.list_images``.

    Returns:
      The keys of the images, and the lines that name none.
    """
    short = {key.rsplit("/", 1)[-1]: key for key in known}
    found, unknown = [], []
    for line in read_lines(path):
        candidates = (line, line.split("\t")[0].strip(), line.split()[0])
        keys = [key for text in candidates if (key := _key(text, known, short)) is not None]
        if keys:
            found.append(keys[0])
        else:
            unknown.append(line)
    if not found and not unknown:
        raise ValueError(f"{printable(path)} is empty; expected one image name per line")
    return found, unknown


def _key(text: str, known: Mapping[str, object], short: Mapping[str, str]) -> str | None:
    name = text.replace("\\", "/")
    stem, dot, ending = name.rpartition(".")
    for candidate in (name, stem) if dot + ending.lower() in ENDINGS else (name,):
        while candidate:
            if candidate in known:
                return candidate
            _, slash, rest = candidate.partition("/")
            if not slash:
                break
            candidate = rest
        if candidate in short:
            return short[candidate]
    return None


def choose(
    names: Mapping[str, Sequence[str]],
    lists: Mapping[str, Path],
    data_config: ml_collections.ConfigDict,
    split: str,
    notices: Notices,
) -> list[str]:
    """Returns the names of the images of a split.

    Args:
      names: all images by the split of the folder that they are in, "" where folders do not divide them.
      lists: by split, see ``find_lists``.
      data_config: ``config.data``.
      split: the split.
      notices: gets repeated names, and that images were divided by chance.

    Raises:
      ValueError: there is no such split, or a list names images that do not exist or that are in another list, too.
    """
    every = [name for part in names.values() for name in part]
    seed = data_config.split_seed
    if split == ALL:
        return every
    if seed is not None:
        return _by_chance(every, data_config, split, seed)
    if lists:
        return _listed(every, lists, data_config, split, notices)
    divided = {part: list(names[part]) for part in SPLITS if part in names}
    wanted = next((known for known, others in SPLITS.items() if split in others), split)
    if not divided:
        return _drawn(every, data_config, wanted, "splits", notices)
    if wanted in divided and not (wanted == "train" and _draws_val(divided, data_config)):
        return divided[wanted]
    if wanted in ("train", "val") and "train" in divided and "val" not in divided:
        return _drawn(divided["train"], data_config, wanted, "validation split", notices)
    raise _no_split(split, divided, data_config)


def _draws_val(divided: Mapping[str, Sequence[str]], data_config: ml_collections.ConfigDict) -> bool:
    return "val" not in divided and data_config.val in SPLITS["val"]


def _listed(
    every: Sequence[str],
    lists: Mapping[str, Path],
    data_config: ml_collections.ConfigDict,
    split: str,
    notices: Notices,
) -> list[str]:
    known = dict.fromkeys(every)
    wanted = next((known for known, others in SPLITS.items() if split in others), split)
    if wanted not in lists:
        raise _no_split(split, lists, data_config)
    read = {part: read_names(path, known) for part, path in lists.items()}
    _check_overlap({part: own for part, (own, _) in read.items()}, lists, data_config, notices)
    own, unknown = read[wanted]
    if unknown and data_config.bad_files == "skip":
        notices.add("have no image and are left out", f"names in {lists[wanted].name}", unknown[0], count=len(unknown))
    elif unknown:
        raise ValueError(
            f"{printable(lists[wanted])} names {unknown[0]}, the first of {len(unknown)} name(s) without an image; "
            "expected names of images. Correct the list, or set config.data.bad_files=skip to leave them out"
        )
    repeated = len(own) - len(set(own))
    if repeated:
        notices.add("occur more than once and count once", f"names in {lists[wanted].name}", own[0], count=repeated)
    return list(dict.fromkeys(own))


def _check_overlap(
    names: Mapping[str, Sequence[str]],
    lists: Mapping[str, Path],
    data_config: ml_collections.ConfigDict,
    notices: Notices,
) -> None:
    """Raises ValueError where an image is in the list of two splits, unless ``config.data.allow_overlap``."""
    parts = list(names)
    for place, first in enumerate(parts):
        for second in parts[place + 1 :]:
            both = sorted(set(names[first]) & set(names[second]))
            if not both:
                continue
            if not data_config.allow_overlap:
                raise ValueError(
                    f"{both[0]}, the first of {len(both)} image(s), is in {printable(lists[first])} and in "
                    f"{printable(lists[second])}; expected every image in one split. Correct the lists, or set "
                    "config.data.allow_overlap=True"
                )
            notices.add(f"are in both {first} and {second}", "images", both[0], count=len(both))


def _drawn(
    names: Sequence[str], data_config: ml_collections.ConfigDict, split: str, lacking: str, notices: Notices
) -> list[str]:
    """Returns the names that are drawn for a split, with a note that the data has no division of its own."""
    chosen = _by_chance(names, data_config, split, SEED)
    text = f"are drawn at random for {split}, since the data has no {lacking}"
    notices.add(text, "images", chosen[0], count=len(chosen), of=len(names), is_problem=False)
    return chosen


def _by_chance(names: Sequence[str], data_config: ml_collections.ConfigDict, split: str, seed: int) -> list[str]:
    fraction = data_config.val_fraction
    if split not in ("train", "val"):
        raise _no_split(split, ("train", "val"), data_config)
    if not 0 < fraction < 1 or len(names) < 2:
        raise ValueError(
            f"config.data.val_fraction is {fraction} of {len(names)} image(s); expected more than 0 and less than 1, "
            "of two images or more. Set config.data.val='' to train without validation"
        )
    return divide(names, fraction, seed)[split]


def _no_split(split: str, known: Mapping | Sequence[str], data_config: ml_collections.ConfigDict) -> ValueError:
    field = next((kind for kind in ("train", "val", "test") if data_config[kind] == split), "val")
    other = next((name for name in known if name not in ("train", split)), next(iter(known)))
    return ValueError(
        f"the data set folder has no split {split!r}; expected one of {', '.join(known)}, all. Set, for example, "
        f"config.data.{field}={other}, or config.data.split_seed=1337 to divide the images at random"
    )

"""Where annotation files in COCO's format are, as COCO itself and annotation programs write them."""

from collections.abc import Iterable
from pathlib import Path

import ml_collections

from jaxseg.data.instances.splits import ALL, NAMES, names_of

# Where annotations and images of a split are looked for.
FILES = (
    "annotations/instances_{split}2017.json",
    "annotations/instances_{split}.json",
    "{split}/_annotations.coco.json",
    "annotations/{split}.json",
    "{split}/annotations.json",
    "{split}.json",
)
FOLDERS = ("{split}2017", "{split}", "{split}/images", "images/{split}", "images", ".")
# The same where there is one file for all images.
UNDIVIDED = (
    "annotations/instances_default.json",
    "annotations/instances_all.json",
    "_annotations.coco.json",
    "annotations.json",
    "annotations/annotations.json",
    "instances_default.json",
    "result.json",
)
ORIGIN = (
    "COCO's images and annotations are at https://cocodataset.org, to be unpacked side by side as train2017/, val2017/ "
    "and annotations/. A data set of your own in COCO's format has train/ and val/ with the images and "
    "annotations/instances_train.json and instances_val.json; or config.data.annotations and config.data.images say "
    "where they are"
)


def annotation_files(folder: Path, data_config: ml_collections.ConfigDict, split: str) -> dict[str, Path]:
    """Returns the annotation files of a data set by split; "all" for one file for all images.

    Args:
      folder: of the data set.
      data_config: ``config.data``.
      split: one that is looked for, in addition to the usual ones.

    Raises:
      ValueError: there is none.
    """
    given = data_config.annotations
    wanted = dict.fromkeys([*names_of(split), *(name for names in NAMES.values() for name in names)])
    if given and "{split}" not in given:
        places = {ALL: (given,)}
    elif given:
        places = {name: (given.replace("{split}", name),) for name in wanted}
    else:
        divided = {name: [place.replace("{split}", name) for place in FILES] for name in wanted if name != ALL}
        places = {**({} if data_config.split_seed is not None else divided), ALL: UNDIVIDED}
    found = {
        name: next((folder / place for place in own if (folder / place).is_file()), None)
        for name, own in places.items()
    }
    found = {name: path for name, path in found.items() if path is not None}
    if len(found) > 1:
        found.pop(ALL, None)
    if not found and not given:
        alone = [path for path in _json_files(folder) if is_coco(path)]
        found = {ALL: alone[0]} if len(alone) == 1 else {}
    if not found:
        tried = [folder / place for place in (places.get(split) or places[next(iter(places))])]
        raise ValueError(f"{' or '.join(map(str, tried))} is missing. {ORIGIN}")
    return found


def image_folders(folder: Path, path: Path, data_config: ml_collections.ConfigDict, names: Iterable[str]) -> list[Path]:
    """Returns the folders in which images of an annotation file may be, the most likely first.

    Args:
      folder: of the data set.
      path: the annotation file.
      data_config: ``config.data``.
      names: of the split.
    """
    names = [*names, "default"]
    places = (data_config.images,) if data_config.images else FOLDERS
    expanded = [place.replace("{split}", name) for place in places for name in names]
    return list(dict.fromkeys([*(folder / place for place in expanded), path.parent, path.parent / "images"]))


def is_coco(path: Path) -> bool:
    """Returns whether a file looks like one in COCO's format, without reading all of it."""
    try:
        with path.open("rb") as file:
            start = file.read(4096)
            file.seek(0)
            rest = file.read(1 << 26) if start.lstrip()[:1] == b"{" else b""
    except OSError:
        return False
    return all(f'"{part}"'.encode() in rest for part in ("images", "annotations", "categories"))


def _json_files(folder: Path) -> list[Path]:
    """Returns the JSON files of a folder and of its folder ``annotations``."""
    return sorted([*folder.glob("*.json"), *(folder / "annotations").glob("*.json")])

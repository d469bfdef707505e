"""Data sets: each module named in ``SOURCES`` turns files, or nothing at all, into a ``types.Source`` of records."""

from collections.abc import Sequence

import ml_collections

from jaxseg.data.class_order import match_classes
from jaxseg.data.selection import read_fold, select, select_fold
from jaxseg.data.sources import (
    auto,
    camvid,
    cityscapes,
    coco,
    coco_voc,
    cvat,
    folder,
    isbi,
    labelme,
    oxford_pets,
    shapes,
    voc,
    voc_objects,
    yolo,
)
from jaxseg.storage import is_bucket
from jaxseg.storage.local_copies import local_folder
from jaxseg.types import Source

# name -> function of (config.data, split name)
SOURCES = {
    "auto": auto.open_split,
    "camvid": camvid.open_split,
    "cityscapes": cityscapes.open_split,
    "coco": coco.open_split,
    "coco_voc": coco_voc.open_split,
    "cvat": cvat.open_split,
    "folder": folder.open_split,
    "isbi": isbi.open_split,
    "labelme": labelme.open_split,
    "oxford_pets": oxford_pets.open_split,
    "shapes": shapes.open_split,
    "voc": voc.open_split,
    "voc_objects": voc_objects.open_split,
    "yolo": yolo.open_split,
}


def open_source(data_config: ml_collections.ConfigDict, split: str, class_names: Sequence[str] | None = None) -> Source:
    """Opens one split of the data set ``config.data.name`` and prepares its files first where that is needed.

    Args:
      data_config: ``config.data``.
      split: name of the split. "train[0/5]" is the first of five folds of a split, "train[!0/5]" the other four.
      class_names: the classes of the training split, by which those of this split are matched. None keeps its own.

    Raises:
      ValueError: an unknown data set or split, files that are missing or damaged, or classes that are not trained.
    """
    if data_config.name not in SOURCES:
        raise ValueError(f"config.data.name is {data_config.name!r}; expected one of {', '.join(sorted(SOURCES))}")
    data_config = with_local_folders(data_config)
    whole, fold = read_fold(split)
    source = select(SOURCES[data_config.name](data_config, whole), data_config)
    source = source if fold is None else select_fold(source, fold, data_config.split_seed)
    return source if class_names is None else match_classes(source, class_names, split)


def with_local_folders(data_config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """Returns ``config.data`` with copies on this machine in place of folders in buckets."""
    if not any(is_bucket(data_config[field]) for field in ("dir", "source_dir")):
        return data_config
    data_config = data_config.copy_and_resolve_references()
    with data_config.unlocked():
        for field in ("dir", "source_dir"):
            if data_config[field]:
                data_config[field] = str(local_folder(data_config[field]))
    return data_config

"""Recognizes the layout of a folder and opens it with the reader of that layout."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import ml_collections

from jaxseg.data.coco.files import annotation_files
from jaxseg.data.images import printable
from jaxseg.data.report import Findings, Notices
from jaxseg.data.sources import (
    camvid,
    cityscapes,
    coco,
    cvat,
    folder,
    labelme,
    oxford_pets,
    voc,
    voc_objects,
    yolo,
)
from jaxseg.data.sources.file_lists import source_folder
from jaxseg.data.sources.layouts import describe_unread, find_layout
from jaxseg.types import Source

ORIGIN = (
    "A folder for data.name=auto has images and masks (images/ and masks/), or images and objects: COCO, YOLO with "
    "data.yaml, LabelMe, CVAT for images, or PASCAL VOC"
)


class Layout(NamedTuple):
    """A layout that a folder can have.

    Attributes:
      name: the value of ``config.data.name`` that reads it.
      title: what people call it.
      has_objects: whether it has objects; otherwise it has label maps.
      fits: ``(folder, config.data) -> whether it looks like this``.
      open_split: opens a split of it.
    """

    name: str
    title: str
    has_objects: bool
    fits: Callable[[Path, ml_collections.ConfigDict], bool]
    open_split: Callable[[ml_collections.ConfigDict, str], Source]


def _has_coco(root: Path, data_config: ml_collections.ConfigDict) -> bool:
    try:
        return bool(annotation_files(root, data_config, data_config.train or "train"))
    except ValueError:
        return False


def _has_yolo(root: Path, _: ml_collections.ConfigDict) -> bool:
    has_text = any(root.glob("labels/*.txt")) or any(root.glob("labels/*/*.txt")) or any(root.glob("*/labels/*.txt"))
    return has_text and (bool(yolo.settings_file(root)) or bool(yolo.find_splits(root, {})))


def _has_masks(root: Path, data_config: ml_collections.ConfigDict) -> bool:
    return find_layout(root, data_config.images, data_config.annotations, Notices()) is not None


# The first that fits is taken. For detectors, layouts with objects come first; for semantic models, those with masks.
LAYOUTS = (
    Layout("coco", "COCO", True, _has_coco, coco.open_split),
    Layout("cvat", "CVAT for images", True, lambda root, _: cvat.annotation_file(root) is not None, cvat.open_split),
    Layout("yolo", "YOLO segmentation", True, _has_yolo, yolo.open_split),
    Layout(
        "voc_objects",
        "PASCAL VOC objects",
        True,
        lambda root, _: bool(voc_objects.find_root(root)),
        voc_objects.open_split,
    ),
    Layout("labelme", "LabelMe", True, lambda root, _: bool(labelme.find_splits(root)), labelme.open_split),
    Layout(
        "oxford_pets",
        "Oxford-IIIT Pet",
        False,
        lambda root, _: (root / "annotations/trimaps").is_dir(),
        oxford_pets.open_split,
    ),
    Layout("cityscapes", "Cityscapes", False, lambda root, _: (root / "leftImg8bit").is_dir(), cityscapes.open_split),
    Layout("camvid", "CamVid", False, lambda root, _: (root / "trainannot").is_dir(), camvid.open_split),
    Layout("voc", "PASCAL VOC 2012", False, lambda root, _: (root / "VOCdevkit").is_dir(), voc.open_split),
    Layout("folder", "images and masks", False, _has_masks, folder.open_split),
)


def open_split(data_config: ml_collections.ConfigDict, split: str) -> Source:
    """Opens the source ``auto``: whichever layout the folder ``config.data.source_dir`` has.

    Raises:
      ValueError: the folder has no known layout, or its files are not what they should be.
    """
    layout = recognize(data_config)
    with_name = data_config.copy_and_resolve_references()
    with with_name.unlocked():
        with_name.name = layout.name
    source = layout.open_split(with_name, split)
    text = f"are read as {layout.title}; config.data.name={layout.name} says so explicitly"
    found = Notices()
    place = printable(Path(data_config.source_dir))
    found.add(text, "images", place, count=len(source.records), is_problem=False)
    findings = source.findings or Findings(len(source.records), class_names=source.class_names)
    return source._replace(findings=findings._replace(notices=(*found.all(), *findings.notices)))


def recognize(data_config: ml_collections.ConfigDict) -> Layout:
    """Returns the layout of ``config.data.source_dir``.

    Raises:
      ValueError: it is none of those that are known.
    """
    root = source_folder(data_config, ORIGIN)
    wants_masks = "max_objects" not in data_config or bool(data_config.get("as_semantic"))
    ordered = sorted(LAYOUTS, key=lambda layout: layout.has_objects == wants_masks)
    for layout in ordered:
        if layout.fits(root, data_config):
            return layout
    content = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))[:8]
    raise ValueError(
        f"config.data.source_dir is {printable(root)}, which has no known layout: it has "
        f"{', '.join(content) or 'nothing'}.{describe_unread(root)} {ORIGIN}."
    )

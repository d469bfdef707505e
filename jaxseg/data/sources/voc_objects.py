"""PASCAL VOC objects: ``SegmentationObject`` tells objects apart, ``SegmentationClass`` has their classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import ml_collections
import numpy as np

from jaxseg.data.geometry import boxes_of_masks
from jaxseg.data.images import ReadOptions, read_header, read_image, read_options
from jaxseg.data.instances.label_maps import to_label_map
from jaxseg.data.instances.locating import find_images
from jaxseg.data.instances.splits import ALL, choose, find_part
from jaxseg.data.masks import read_mask
from jaxseg.data.masks.class_lists import find_class_list
from jaxseg.data.masks.classes import decide
from jaxseg.data.masks.coding import Coding
from jaxseg.data.masks.color_classes import VOC_BORDER
from jaxseg.data.masks.scan import scan_masks
from jaxseg.data.report import Findings, Notices
from jaxseg.data.sources import voc
from jaxseg.data.sources.file_lists import source_folder
from jaxseg.data.text_files import read_lines
from jaxseg.types import IGNORE, Catalogue, Objects, Record, Source

LISTS = "ImageSets/Segmentation"
ORIGIN = (
    "PASCAL VOC has JPEGImages, SegmentationClass, SegmentationObject and ImageSets/Segmentation with train.txt and "
    "val.txt; classes of your own are listed in labels.txt or labelmap.txt"
)


class Files(NamedTuple):
    """The files of one image."""

    image: Path
    classes: Path
    objects: Path


def open_split(data_config: ml_collections.ConfigDict, split: str) -> Source:
    """Opens the source ``voc_objects``: PASCAL VOC, or data in its layout, with objects.

    An object is a number in ``SegmentationObject``; its class is the one that most of its pixels have in
    ``SegmentationClass``. Splits are the lists in ``ImageSets/Segmentation``.

    Raises:
      ValueError: a file is missing or is not what it should be.
    """
    root = find_root(source_folder(data_config, ORIGIN))
    if root is None:
        raise ValueError(f"{Path(data_config.source_dir) / 'SegmentationObject'} is missing. {ORIGIN}")
    notices = Notices()
    files = _files(root)
    lists = {path.stem: read_lines(path) for path in sorted((root / LISTS).glob("*.txt"))} or {ALL: list(files)}
    part = find_part(list(lists), split, data_config)
    names = [_name(line, files) for place in part.places for line in lists[place]]
    lost = [name for name in names if name not in files]
    if lost:
        notices.add("of the list have no image or no mask and are left out", "images", lost[0], count=len(lost))
    chosen = choose({name: files[name] for name in names if name in files}, part, data_config, notices)
    if not chosen:
        raise ValueError(f"{root} has no image with SegmentationObject in the split {split!r}. {ORIGIN}")
    masks = [one.classes for one in files.values()]
    listed = find_class_list([root, root.parent])
    if listed is None and _is_official(masks[:200]):
        names_of_classes, coding = voc.CLASS_NAMES, _OFFICIAL
        palette = np.array(list(voc.VOC.classes.values()), np.uint8)
    else:
        decision = decide(scan_masks(masks, Path(data_config.dir) / "cache"), masks, listed, notices)
        names_of_classes, palette, coding = decision.class_names, decision.palette, decision.coding
    return _open(chosen, coding, names_of_classes, palette, data_config, notices)


def find_root(folder: Path) -> Path | None:
    """Returns the folder with ``SegmentationObject``; None where there is none."""
    places = [folder, folder / "VOCdevkit/VOC2012", folder / "VOC2012", *sorted(folder.glob("VOCdevkit/*"))]
    return next((place for place in places if (place / "SegmentationObject").is_dir()), None)


class VocObjectRecords(Sequence):
    """Records that are read when they are asked for.

    Args:
      files: of each image.
      coding: the meaning of the values of ``SegmentationClass``.
      options: how to read images.
      as_semantic: whether records have a label map instead of objects.
    """

    def __init__(self, files: Sequence[Files], coding: Coding, options: ReadOptions, as_semantic: bool):
        self.files = tuple(files)
        self.coding = coding
        self.options = options
        self.as_semantic = as_semantic

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Record:
        files = self.files[index]
        image = read_image(files.image, self.options, notes=[])
        label, numbers = self.coding(files.classes), read_numbers(files.objects)
        for path, array in ((files.classes, label), (files.objects, numbers)):
            if array.shape != image.shape[:2]:
                raise ValueError(
                    f"{path} is {array.shape[1]}x{array.shape[0]}, its image {image.shape[1]}x{image.shape[0]}; "
                    "expected the same size"
                )
        objects = objects_of(numbers, label)
        if self.as_semantic:
            return Record(files.image.stem, image, to_label_map(objects, label.shape))
        return Record(files.image.stem, image, None, objects)


def read_numbers(path: Path) -> np.ndarray:
    """Reads the numbers of objects, int32 ``[h, w]``: 0 on the background and on borders."""
    mask = read_mask(path)
    numbers = mask.values.astype(np.int32)
    borders = (VOC_BORDER, 0xFFFFFF) if mask.kind == "color" else (IGNORE,)
    return np.where(np.isin(numbers, borders), 0, numbers)


def objects_of(numbers: np.ndarray, label: np.ndarray) -> Objects:
    """Returns the objects of a map of object numbers ``[h, w]`` and a label map ``[h, w]``.

    Example:
      >>> objects_of(np.array([[0, 1, 2]]), np.array([[0, 3, 1]], np.uint8)).classes.tolist()
      [3, 1]
    """
    masks, classes = [], []
    for number in np.unique(numbers[numbers > 0]):
        mask = numbers == number
        counts = np.bincount(label[mask], minlength=IGNORE + 1)
        counts[[0, IGNORE]] = 0
        if counts.any():
            masks.append(mask.astype(np.uint8))
            classes.append(int(counts.argmax()))
    stacked = np.stack(masks) if masks else np.zeros((0, *numbers.shape), np.uint8)
    return Objects(boxes_of_masks(stacked), np.array(classes, np.int32), stacked, np.zeros(len(masks), bool))


_OFFICIAL = Coding(False, 1, False, (*range(len(voc.CLASS_NAMES)), IGNORE), (*range(len(voc.CLASS_NAMES)), IGNORE))


def _is_official(masks: Sequence[Path]) -> bool:
    """Returns whether masks are indexed and have no more values than PASCAL VOC's 20 classes."""
    read = [read_mask(path) for path in masks[:8]]
    return all(mask.kind == "indexed" and np.isin(mask.values, (*range(21), IGNORE)).all() for mask in read) and any(
        (mask.values == IGNORE).any() for mask in read
    )


def _files(root: Path) -> dict[str, Files]:
    """Returns the files of all images that have both masks, by name."""
    images = {path.stem: path for path in find_images(root / "JPEGImages")}
    masks = [
        {path.stem: path for path in find_images(root / part)} for part in ("SegmentationClass", "SegmentationObject")
    ]
    return {
        name: Files(path, masks[0][name], masks[1][name])
        for name, path in images.items()
        if all(name in one for one in masks)
    }


def _name(line: str, files: Mapping[str, Files]) -> str:
    """Returns the name in a line of a list: the whole line, or its first word, without folder and ending."""
    whole = line.replace("\\", "/").rsplit("/", 1)[-1]
    candidates = (whole, Path(whole).stem, line.split()[0], Path(line.split()[0]).stem)
    return next((name for name in candidates if name in files), line)


def _open(
    files: Sequence[Files],
    coding: Coding,
    class_names: tuple[str, ...],
    palette: np.ndarray,
    data_config: ml_collections.ConfigDict,
    notices: Notices,
) -> Source:
    options = read_options(data_config)
    sizes = np.array([read_header(one.image, options).size for one in files], np.int32)
    counts = [len(np.unique(numbers[numbers > 0])) for numbers in (read_numbers(one.objects) for one in files)]
    catalogue = Catalogue(sizes, np.array(counts, np.int32), range(1, len(files) + 1), range(len(class_names)))
    findings = Findings(len(files), sizes, class_names, empty=counts.count(0), notices=notices.all())
    records = VocObjectRecords(files, coding, options, bool(data_config.get("as_semantic")))
    paths = [str(one.image) for one in files]
    return Source(records, class_names, palette, "", catalogue, findings, paths)

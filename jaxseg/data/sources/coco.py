"""COCO (Lin et al., Microsoft COCO, ECCV 2014), and anybody's own data in its format."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import ml_collections
import numpy as np

from jaxseg.data.coco import classes as coco_classes
from jaxseg.data.coco import rle
from jaxseg.data.coco.annotations import Annotation, Image, read_annotations
from jaxseg.data.coco.files import ORIGIN, annotation_path, check_headers, chosen_images, image_paths
from jaxseg.data.colors import distinct_colors
from jaxseg.data.exif import turn_upright
from jaxseg.data.images import read_header, read_image
from jaxseg.data.sources.pairs import source_folder
from jaxseg.types import Catalogue, Objects, Record, Source


def open_split(data_config: ml_collections.ConfigDict, split: str) -> Source:
    """The source ``coco``: an annotation file and a folder of images in ``config.data.source_dir``.

    The file is ``config.data.annotations`` and the folder ``config.data.images``, in both of which ``{split}`` stands
    for the name of the split; where they are empty, the usual places are looked into (``FILES``, ``FOLDERS``), the
    folder being the first of them that has the first image.

    Splits: whatever the files are called after. With ``config.data.split_seed``, one file for all images
    (``UNDIVIDED``) is divided: ``config.data.val_fraction`` of the images, drawn with that seed, are ``val``, and
    the others ``train``; ``all`` is every image.

    Classes: a file with the 80 categories of COCO itself keeps their numbers, so that weights of detectors trained on
    COCO fit; of any other file, the categories are numbered from 1 in the order of their ids. ``catalogue`` has the
    ids, under which results are to be written.

    A record's tags are ``image_id`` and ``annotation_ids``, one an object.

    Raises:
      ValueError: a file is missing or is not what it should be.
    """
    folder = source_folder(data_config, ORIGIN)
    file = read_annotations(annotation_path(folder, data_config, split))
    images = chosen_images(file, data_config, split)
    if not images:
        raise ValueError(f"{file.path} has no image of the split {split}")
    classes = classes_of(file.categories)
    paths = image_paths(folder, file, images, data_config, split)
    if not classes.official:
        check_headers(paths, images)
    annotations = [file.annotations.get(image.number, []) for image in images]
    packed = tuple(pickle.dumps(entries) for entries in annotations)
    records = CocoRecords(paths, tuple(images), packed, {number: i for i, number in enumerate(classes.numbers)})
    catalogue = Catalogue(
        sizes=np.array([image.size for image in images], np.int32),
        counts=np.array([sum(not entry.get("iscrowd") for entry in entries) for entries in annotations], np.int32),
        image_ids=tuple(image.number for image in images),
        category_ids=classes.numbers,
        annotations=records.annotations,
    )
    return Source(records, classes.names, classes.palette, catalogue=catalogue, files=tuple(map(str, paths)))


class Classes(NamedTuple):
    """The classes of a data set.

    Attributes:
      names: one a class.
      numbers: the category of each class.
      palette: uint8 ``[k, 3]``.
      official: they are COCO's own.
    """

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    palette: np.ndarray
    official: bool


def classes_of(categories: Mapping[int, str]) -> Classes:
    """Classes for the categories of a file, by number: COCO's own as they are, others from 1 in order."""
    own = {number: name for number, name in enumerate(coco_classes.CLASS_NAMES) if name != coco_classes.UNUSED}
    if {0: own[0], **categories} == own:
        numbers = tuple(range(len(coco_classes.CLASS_NAMES)))
        return Classes(coco_classes.CLASS_NAMES, numbers, coco_classes.PALETTE, official=True)
    colors = np.concatenate([np.zeros((1, 3), np.uint8), distinct_colors(len(categories))])
    # The background has no category; -1 is the number of none.
    return Classes(("background", *categories.values()), (-1, *categories), colors, official=False)


class CocoRecords(Sequence):
    """Images and annotations that are decoded when they are asked for.

    Args:
      paths: of the images.
      images: what the annotation file says of them.
      packed: the annotations of each image, pickled, which takes a tenth of the memory.
      class_of: the class of each category.
    """

    def __init__(
        self, paths: tuple[Path, ...], images: tuple[Image, ...], packed: tuple[bytes, ...], class_of: Mapping[int, int]
    ):
        self.paths = paths
        self.images = images
        self.packed = packed
        self.class_of = class_of

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Record:
        image, path = self.images[index], self.paths[index]
        annotations = self.annotations(index)
        tags = {"image_id": image.number, "annotation_ids": tuple(entry.get("id") for entry in annotations)}
        objects = objects_of(annotations, image.size, self.class_of)
        return Record(Path(image.file_name).stem, _read(path, image.size), None, objects, tags)

    def annotations(self, index: int) -> list[Annotation]:
        """Those of an image, as the file has them."""
        return pickle.loads(self.packed[index])


def objects_of(annotations: list[Annotation], size: tuple[int, int], class_of: Mapping[int, int]) -> Objects:
    """The objects of an image of ``size``; boxes that leave it are cut off."""
    corners = np.array([entry["bbox"] for entry in annotations], np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    masks = rle.decode([rle.encode_segmentation(entry["segmentation"], size) for entry in annotations], size)
    return Objects(
        boxes=np.clip(corners, 0, np.array(size * 2)[[1, 0, 1, 0]]).astype(np.float32),
        classes=np.array([class_of[entry["category_id"]] for entry in annotations], np.int32),
        masks=masks,
        crowd=np.array([bool(entry.get("iscrowd")) for entry in annotations], bool),
    )


def _read(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Reads the image, uint8 ``[*size, 3]``: upright, or as the file stores it where only that fits."""
    image = read_image(path, notes=[])
    if image.shape[:2] != size:
        orientation = read_header(path).orientation
        image = turn_upright(image, {6: 8, 8: 6}.get(orientation, orientation))
    if image.shape[:2] != size:
        height, width = image.shape[:2]
        raise ValueError(f"{path} is {width}x{height}; its annotations expect {size[1]}x{size[0]}")
    return image

"""Records of images with annotations in COCO's form. Nothing is decoded before a record is asked for."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxseg.data.coco import rle
from jaxseg.data.exif import turn_upright
from jaxseg.data.images import ReadOptions, read_header, read_image
from jaxseg.data.instances.label_maps import paint
from jaxseg.types import Objects, Record

Size = tuple[int, int]
Annotation = dict[str, Any]


class AnnotatedImage(NamedTuple):
    """One image with its annotations.

    Attributes:
      number: under which results files have it.
      name: the file name without its ending.
      path: the file.
      size: (height, width).
      annotations: in COCO's form, checked by ``coco.reading.AnnotationReader``. Those without ``segmentation`` have a
        box only.
    """

    number: int
    name: str
    path: Path
    size: Size
    annotations: list[Annotation]


class AnnotatedRecords(Sequence):
    """Records that are decoded when they are asked for.

    Args:
      images: with their annotations.
      class_of: the class of each category.
      options: how to read images.
      most: largest number of objects that a record has; the smallest are left out before their masks are decoded.
        0 keeps all.
      as_semantic: whether records have a label map instead of objects.
    """

    def __init__(
        self,
        images: Sequence[AnnotatedImage],
        class_of: Mapping[int, int],
        options: ReadOptions,
        most: int = 0,
        as_semantic: bool = False,
    ):
        # Pickled annotations take a tenth of the memory.
        self.packed = tuple(pickle.dumps(image.annotations) for image in images)
        self.images = tuple(image._replace(annotations=[]) for image in images)
        self.class_of = class_of
        self.options = options
        self.most = most
        self.as_semantic = bool(as_semantic)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Record:
        image, annotations = self.images[index], self.annotations(index)
        pixels = _read(image.path, image.size, self.options)
        if self.as_semantic:
            label = label_map_of(annotations, image.size, self.class_of)
            return Record(image.name, pixels, label, None, {"image_id": image.number})
        annotations = largest(annotations, self.most)
        tags = {"image_id": image.number, "annotation_ids": tuple(entry.get("id") for entry in annotations)}
        return Record(image.name, pixels, None, objects_of(annotations, image.size, self.class_of), tags)

    def annotations(self, index: int) -> list[Annotation]:
        """Returns all annotations of an image."""
        return pickle.loads(self.packed[index])


def largest(annotations: list[Annotation], most: int) -> list[Annotation]:
    """Returns at most ``most`` annotations in their order: crowd regions are left out first, then the smallest.

    This is the rule of ``packing.foremost``, before any mask is decoded: memory follows ``config.data.max_objects``.
    """
    if not most or len(annotations) <= most:
        return annotations
    areas = np.array([-1 if entry.get("iscrowd") else entry["bbox"][2] * entry["bbox"][3] for entry in annotations])
    return [annotations[i] for i in np.sort(np.argsort(-areas, kind="stable")[:most])]


def objects_of(annotations: list[Annotation], size: Size, class_of: Mapping[int, int]) -> Objects:
    """Returns the objects of an image of ``size``. Boxes that leave it are cut off; box-only objects have no mask."""
    corners = np.array([entry["bbox"] for entry in annotations], np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    masks = np.zeros((len(annotations), *size), np.uint8)
    for mask, entry in zip(masks, annotations, strict=True):
        if "segmentation" in entry:
            mask[:] = rle.decode([rle.encode_segmentation(entry["segmentation"], size)], size)[0]
    return Objects(
        boxes=np.clip(corners, 0, np.array(size * 2)[[1, 0, 1, 0]]).astype(np.float32),
        classes=np.array([class_of[entry["category_id"]] for entry in annotations], np.int32),
        masks=masks,
        crowd=np.array([bool(entry.get("iscrowd")) for entry in annotations], bool),
    )


def label_map_of(annotations: list[Annotation], size: Size, class_of: Mapping[int, int]) -> np.ndarray:
    """Returns the label map ``[h, w]`` of annotations, see ``label_maps.paint``; one mask at a time is in memory."""
    one_by_one = (objects_of([entry], size, class_of) for entry in sorted(annotations, key=_area, reverse=True))
    return paint(size, one_by_one)


def _area(entry: Annotation) -> float:
    return entry["bbox"][2] * entry["bbox"][3]


def _read(path: Path, size: Size, options: ReadOptions) -> np.ndarray:
    """Reads the image, uint8 ``[*size, 3]``: upright, or as the file stores it where only that fits."""
    image = read_image(path, options, notes=[])
    if image.shape[:2] != size:
        orientation = read_header(path, options).orientation
        image = turn_upright(image, {6: 8, 8: 6}.get(orientation, orientation))
    if image.shape[:2] != size:
        height, width = image.shape[:2]
        raise ValueError(f"{path} is {width}x{height}; its annotations expect {size[1]}x{size[0]}")
    return image

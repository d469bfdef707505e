"""Sources of images with annotations in COCO's form: what all formats of objects have in common.

A format reads its files into a list of ``AnnotatedImage`` and gives it to ``open_annotated``. Nothing is decoded before
a record is asked for.
"""

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from jaxseg.data.coco import classes as coco_classes
from jaxseg.data.coco import rle
from jaxseg.data.colors import distinct_colors
from jaxseg.data.exif import turn_upright
from jaxseg.data.images import ReadOptions, read_header, read_image, read_options
from jaxseg.data.instances.label_maps import paint
from jaxseg.data.report import Findings, Notices
from jaxseg.types import Catalogue, Objects, Record, Source

Size = tuple[int, int]
Annotation = dict[str, Any]
CROWDS = ("auto", "crowd", "object")


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


class Classes(NamedTuple):
    """The classes of a data set.

    Attributes:
      names: one per class.
      numbers: the category of each class.
      palette: uint8 ``[k, 3]``.
      official: whether they are COCO's own.
    """

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    palette: np.ndarray
    official: bool


def classes_of(categories: Mapping[int, str]) -> Classes:
    """Returns the classes for categories by number: COCO's own as they are, others from 1 in order."""
    own = {number: name for number, name in enumerate(coco_classes.CLASS_NAMES) if name != coco_classes.UNUSED}
    if {0: own[0], **categories} == own:
        numbers = tuple(range(len(coco_classes.CLASS_NAMES)))
        return Classes(coco_classes.CLASS_NAMES, numbers, coco_classes.PALETTE, official=True)
    colors = np.concatenate([np.zeros((1, 3), np.uint8), distinct_colors(len(categories))])
    # The background has no category; -1 is the number of none.
    return Classes(("background", *categories.values()), (-1, *categories), colors, official=False)


def open_annotated(
    images: Sequence[AnnotatedImage],
    classes: Classes,
    data_config: ml_collections.ConfigDict,
    notices: Notices,
    marks_masks: bool = False,
) -> Source:
    """Returns the source of annotated images: objects, or label maps with ``config.data.as_semantic``.

    Args:
      images: of a split.
      classes: of the data set.
      data_config: ``config.data``.
      notices: what is unusual about them.
      marks_masks: whether the program that wrote the annotations marks brush masks with ``iscrowd``.
    """
    apply_crowds(images, data_config, notices, marks_masks)
    annotations = [image.annotations for image in images]
    class_of = {number: i for i, number in enumerate(classes.numbers)}
    records = AnnotatedRecords(
        images, class_of, read_options(data_config), data_config.get("max_objects", 0), data_config.get("as_semantic")
    )
    counts = [sum(not entry.get("iscrowd") for entry in entries) for entries in annotations]
    catalogue = Catalogue(
        sizes=np.array([image.size for image in images], np.int32).reshape(-1, 2),
        counts=np.array(counts, np.int32),
        image_ids=tuple(image.number for image in images),
        category_ids=classes.numbers,
        annotations=records.annotations,
    )
    objects = np.zeros(len(classes.names), int)
    used = [class_of[entry["category_id"]] for entries in annotations for entry in entries if not entry.get("iscrowd")]
    np.add.at(objects, used, 1)
    findings = Findings(
        images=len(images),
        sizes=catalogue.sizes,
        class_names=classes.names,
        objects=tuple(objects.tolist()),
        crowds=sum(map(len, annotations)) - len(used),
        empty=int(np.count_nonzero(catalogue.counts == 0)),
        notices=notices.all(),
    )
    fingerprint = _fingerprint(records) if records.as_semantic else ""
    files = [str(image.path) for image in images]
    return Source(records, classes.names, classes.palette, fingerprint, catalogue, findings, files)


def apply_crowds(
    images: Sequence[AnnotatedImage],
    data_config: ml_collections.ConfigDict,
    notices: Notices,
    marks_masks: bool,
) -> None:
    """Applies ``config.data.crowds`` to annotations that are marked as crowd regions.

    Args:
      images: their annotations are changed.
      data_config: ``config.data``.
      notices: gets what is unusual.
      marks_masks: whether the program that wrote the file marks brush masks in this way.

    Raises:
      ValueError: the option is unknown.
    """
    chosen = data_config.get("crowds", "auto")
    if chosen not in CROWDS:
        raise ValueError(f"config.data.crowds is {chosen!r}; expected one of {', '.join(CROWDS)}.")
    every = [entry for image in images for entry in image.annotations]
    crowds = [entry for entry in every if entry.get("iscrowd")]
    if not crowds:
        return
    first = str(crowds[0].get("id"))
    if chosen == "object" or (chosen == "auto" and marks_masks):
        for entry in crowds:
            entry["iscrowd"] = 0
        remedy = "" if chosen == "object" else "Set data.crowds=crowd if they are crowd regions"
        notices.add("have iscrowd 1 and are read as objects", "annotations", first, count=len(crowds), remedy=remedy)
    elif chosen == "auto" and 2 * len(crowds) > len(every):
        text = "have iscrowd 1, which is most of them: they are neither trained on nor scored"
        remedy = "Are they objects? Then set data.crowds=object; data.crowds=crowd says that they are crowd regions"
        notices.add(text, "annotations", first, count=len(crowds), of=len(every), remedy=remedy)


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


def _fingerprint(records: AnnotatedRecords) -> str:
    """Returns a short name for images and annotations: another one when a file changes."""
    digest = hashlib.sha256(repr((sorted(records.class_of.items()), tuple(records.options))).encode())
    for image, packed in zip(records.images, records.packed, strict=True):
        state = image.path.stat()
        digest.update(f"{image.name} {image.path.name} {state.st_size} {state.st_mtime_ns}\n".encode() + packed)
    return f"annotated {digest.hexdigest()[:16]}"

"""Sources of images with annotations in COCO's form: what all formats of objects have in common.

A format reads its files into a list of ``AnnotatedImage`` and gives it to ``open_annotated``.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import ml_collections
import numpy as np

from jaxseg.data.coco import classes as coco_classes
from jaxseg.data.colors import distinct_colors
from jaxseg.data.images import read_options
from jaxseg.data.instances.annotated_records import AnnotatedImage, AnnotatedRecords
from jaxseg.data.report import Findings, Notices
from jaxseg.types import Catalogue, Source

CROWDS = ("auto", "crowd", "object")


class Classes(NamedTuple):
    """The classes of a data set.

    Attributes:
      names: one per class.
      numbers: the category of each class.
      palette: uint8 ``[k, 3]``.
    """

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    palette: np.ndarray


def classes_of(categories: Mapping[int, str]) -> Classes:
    """Returns the classes for categories by number: COCO's own as they are, others from 1 in order."""
    own = {number: name for number, name in enumerate(coco_classes.CLASS_NAMES) if name != coco_classes.UNUSED}
    if {0: own[0], **categories} == own:
        numbers = tuple(range(len(coco_classes.CLASS_NAMES)))
        return Classes(coco_classes.CLASS_NAMES, numbers, coco_classes.PALETTE)
    colors = np.concatenate([np.zeros((1, 3), np.uint8), distinct_colors(len(categories))])
    # The background has no category; -1 is the number of none.
    return Classes(("background", *categories.values()), (-1, *categories), colors)


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
        text = "have iscrowd 1 and are read as objects"
        notices.add(text, "annotations", first, count=len(crowds), remedy=remedy, is_problem=chosen == "auto")
    elif chosen == "auto" and 2 * len(crowds) > len(every):
        text = "have iscrowd 1, which is most of them: they are neither trained on nor scored"
        remedy = "Are they objects? Then set data.crowds=object; data.crowds=crowd says that they are crowd regions"
        notices.add(text, "annotations", first, count=len(crowds), of=len(every), remedy=remedy)


def _fingerprint(records: AnnotatedRecords) -> str:
    """Returns a short name for images and annotations: another one when a file changes."""
    digest = hashlib.sha256(repr((sorted(records.class_of.items()), tuple(records.options))).encode())
    for image, packed in zip(records.images, records.packed, strict=True):
        state = image.path.stat()
        digest.update(f"{image.name} {image.path.name} {state.st_size} {state.st_mtime_ns}\n".encode() + packed)
    return f"annotated {digest.hexdigest()[:16]}"

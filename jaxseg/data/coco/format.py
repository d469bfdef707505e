"""Ground truth in COCO's format, for the official evaluator and for files."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxseg.data.coco import rle
from jaxseg.data.coco.classes import UNUSED
from jaxseg.types import Catalogue, Record, Source


def ground_truth(source: Source, indices: Sequence[int] | None = None) -> dict[str, Any]:
    """Returns the objects of a split as a data set in COCO's format, in pixels of the original images; ready for JSON.

    ``images`` are in the order of the records, under ``catalogue.image_ids``; classes are ``categories`` under
    ``catalogue.category_ids``. Annotations are those of the data set's own file where it has one, so that boxes and
    areas are the official ones; otherwise they are made of the records. They are numbered from 1, since the evaluator
    reads number 0 as none.

    Args:
      source: the split.
      indices: which records; None for all.
    """
    catalogue = source.catalogue
    indices = range(len(source.records)) if indices is None else indices
    annotations = [annotation for index in indices for annotation in annotations_of(source, index)]
    return {
        "images": [
            {"id": int(catalogue.image_ids[index]), "height": int(height), "width": int(width)}
            for index, (height, width) in zip(indices, catalogue.sizes[list(indices)], strict=True)
        ],
        "annotations": [annotation | {"id": number} for number, annotation in enumerate(annotations, start=1)],
        "categories": categories(source),
    }


def categories(source: Source) -> list[dict[str, Any]]:
    """Returns the categories of a split's objects in COCO's format."""
    return [
        {"id": int(category_id), "name": name}
        for category_id, name in list(zip(source.catalogue.category_ids, source.class_names, strict=True))[1:]
        if name != UNUSED
    ]


def to_annotations(record: Record, image_id: int, catalogue: Catalogue) -> list[dict[str, Any]]:
    """Returns the objects of a record as annotations, without numbers of their own."""
    objects = record.objects
    return [
        {
            "image_id": image_id,
            "category_id": int(catalogue.category_ids[number]),
            "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
            "area": int(np.count_nonzero(mask)),
            "iscrowd": int(crowd),
            "segmentation": code,
        }
        for number, (x1, y1, x2, y2), mask, crowd, code in zip(
            objects.classes, objects.boxes, objects.masks, objects.crowd, rle.encode(objects.masks), strict=True
        )
    ]


def annotations_of(source: Source, index: int) -> list[dict[str, Any]]:
    catalogue = source.catalogue
    if catalogue.annotations is None:
        return to_annotations(source.records[index], int(catalogue.image_ids[index]), catalogue)
    size = tuple(map(int, catalogue.sizes[index]))
    return [_completed(annotation, size) for annotation in catalogue.annotations(index)]


def _completed(annotation: dict[str, Any], image_size: tuple[int, int]) -> dict[str, Any]:
    """Returns an annotation with what the evaluator needs and not every program writes.

    An object without a mask has ``box_only``, and its box as the segmentation.
    """
    if "segmentation" not in annotation:
        x, y, width, height = annotation["bbox"]
        box = [x, y, x + width, y, x + width, y + height, x, y + height]
        return {"iscrowd": 0, "area": width * height} | annotation | {"segmentation": [box], "box_only": True}
    if "area" in annotation and "iscrowd" in annotation:
        return annotation
    code = rle.encode_segmentation(annotation["segmentation"], image_size)
    return {"iscrowd": 0, "area": int(rle.run_lengths(code["counts"])[1::2].sum())} | annotation

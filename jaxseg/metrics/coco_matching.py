"""Matches the detections of an image to its objects, as pycocotools does for COCO's average precision."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from jaxseg.metrics.detection_errors import ImageErrors, find_errors

KINDS = {"bbox": "bbox", "segm": "segmentation"}  # for boxes and masks: name in pycocotools, field in results files
Entries = Sequence[Mapping[str, Any] | None]  # entries of the evaluator, per category and range of areas


class Matches(NamedTuple):
    """The detections of an image, matched to its objects.

    Attributes:
      image_id: the id of the image.
      objects: number of objects, including crowds.
      by_kind: for boxes and masks, the evaluator's entry for each category and range of areas; None if the image has
        nothing of that category.
      errors: for boxes and masks, the error of each detection.
    """

    image_id: int
    objects: int
    by_kind: Mapping[str, Entries]
    errors: Mapping[str, ImageErrors]


def match(truth: dict[str, Any], found: Sequence[dict[str, Any]]) -> Matches:
    """Matches the detections of an image to its objects.

    Args:
      truth: a data set of one image in COCO's format.
      found: entries of a results file with box and mask; they need no image id.

    Example:
      >>> import numpy as np
      >>> from jaxseg.data.coco import rle
      >>> from jaxseg.metrics.average_precision import summarize
      >>> (mask,) = rle.encode(np.ones((1, 4, 4), np.uint8))
      >>> square = {"bbox": [0, 0, 4, 4], "segmentation": mask, "category_id": 1}
      >>> gt = {"id": 1, "image_id": 5, "iscrowd": 0, "area": 16, **square}
      >>> image = {"id": 5, "height": 4, "width": 4}
      >>> truth = {"images": [image], "categories": [{"id": 1}], "annotations": [gt]}
      >>> matches = match(truth, [{"score": 0.9, **square}])
      >>> scores = summarize([matches], category_ids=[0, 1], scored_ids=[1])
      >>> round(scores["bbox_AP"], 6), round(scores["segm_AP50"], 6), scores["bbox_AP_large"]
      (1.0, 1.0, None)
    """
    (image_id,) = (image["id"] for image in truth["images"])
    by_kind, errors = {}, {}
    for kind, field in KINDS.items():
        evaluator = _matched(truth, found, image_id, kind)
        by_kind[kind] = [_needed(entry) for entry in evaluator.evalImgs]
        given, right = (
            [one for entries in part.values() for one in entries] for part in (evaluator._dts, evaluator._gts)
        )
        errors[kind] = find_errors(given, right, field)
    return Matches(image_id, len(truth["annotations"]), by_kind, errors)


def _matched(truth: dict[str, Any], found: Sequence[dict[str, Any]], image_id: int, kind: str) -> COCOeval:
    """Returns the evaluator after it has matched one image. It prints nothing and leaves its arguments as they are."""
    with contextlib.redirect_stdout(io.StringIO()):
        right = _dataset(truth, [_scored(annotation, kind) for annotation in truth["annotations"]])
        # Each kind of result is as in a file of its own: a mask's area is not that of its box.
        fields = ("category_id", "score", KINDS[kind])
        entries = [{"image_id": image_id} | {field: one[field] for field in fields} for one in found]
        given = right.loadRes(entries) if entries else _dataset(truth, [])
        evaluator = COCOeval(right, given, kind)
        evaluator.evaluate()
    return evaluator


def _scored(annotation: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Returns a copy of an annotation. For masks, an object that has only a box is ignored like a crowd."""
    return dict(annotation) | ({"iscrowd": 1} if kind == "segm" and annotation.get("box_only") else {})


def _dataset(truth: dict[str, Any], annotations: list[dict[str, Any]]) -> COCO:
    dataset = COCO()
    dataset.dataset = truth | {"annotations": annotations}
    dataset.createIndex()
    return dataset


def _needed(entry: dict[str, Any] | None) -> dict[str, Any] | None:
    """Returns the fields that ``accumulate`` reads. A match becomes a bool, which takes an eighth of the bytes."""
    if entry is None:
        return None
    return {
        "dtScores": entry["dtScores"],
        "dtMatches": entry["dtMatches"] != 0,
        "dtIgnore": entry["dtIgnore"],
        "gtIgnore": entry["gtIgnore"],
    }

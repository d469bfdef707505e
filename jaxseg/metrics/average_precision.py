"""COCO's average precision of boxes and masks, computed by pycocotools in parts that processes share.

Boxes and masks have twelve numbers each, see cocodataset.org/#detection-eval. Matching detections to objects needs one
image at a time. Precision-recall curves need one category at a time.
"""

import contextlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from jaxseg.metrics.detection_errors import ImageErrors, find_errors

# In the order in which the evaluator gives them.
NUMBERS = (
    "AP",
    "AP50",
    "AP75",
    "AP_small",
    "AP_medium",
    "AP_large",
    "AR1",
    "AR10",
    "AR100",
    "AR_small",
    "AR_medium",
    "AR_large",
)
KINDS = {"bbox": "bbox", "segm": "segmentation"}  # for boxes and masks: name in pycocotools, field in results files
SCORES = tuple(f"{kind}_{number}" for kind in KINDS for number in NUMBERS)


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


class Curves(NamedTuple):
    """Precision and recall of some categories; -1 where there is nothing to score.

    Attributes:
      precision: ``[thresholds, recalls, categories, areas, numbers of detections]``.
      recall: ``[thresholds, categories, areas, numbers of detections]``.
    """

    precision: np.ndarray
    recall: np.ndarray


def match(truth: dict[str, Any], found: Sequence[dict[str, Any]]) -> Matches:
    """Matches the detections of an image to its objects.

    Args:
      truth: a data set of one image in COCO's format.
      found: entries of a results file with box and mask; they need no image id.

    Example:
      >>> from jaxseg.data.coco import rle
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


def summarize(
    matches: Sequence[Matches],
    category_ids: Sequence[int],
    scored_ids: Sequence[int],
    do: Callable[..., Iterable] = map,
) -> dict[str, float | list[float | None] | None]:
    """Returns the scores of a data set.

    Args:
      matches: the matches of every image once, in any order.
      category_ids: the category id of each class.
      scored_ids: the categories of the truth.
      do: ``map``, or that of a pool of processes, which shares the work.

    Returns:
      The scores by name, see ``SCORES``; None where there is nothing to score, such as no small object. In addition,
      ``bbox_AP_by_class`` and ``segm_AP_by_class``, the AP of each class; None for background and unused classes.

    Raises:
      ValueError: there is no object.

    Example:
      >>> nothing = match({"images": [{"id": 5}], "categories": [{"id": 1}], "annotations": []}, [])
      >>> summarize([nothing], category_ids=[0, 1], scored_ids=[1])
      Traceback (most recent call last):
      ValueError: there is no object to score: the split is empty, or its images are
    """
    if not any(one.objects for one in matches):
        raise ValueError("there is no object to score: the split is empty, or its images are")
    scored_ids = sorted(scored_ids)
    by_number, by_class = {}, {}
    for kind, own in curves_by_kind(matches, len(scored_ids), do).items():
        for number, value in zip(NUMBERS, _numbers(own), strict=True):
            by_number[f"{kind}_{number}"] = None if value < 0 else float(value)  # the evaluator gives -1 for none
        of_category = dict(zip(scored_ids, map(_mean_precision, own), strict=True))
        by_class[f"{kind}_AP_by_class"] = [of_category.get(int(category)) for category in category_ids]
    return by_number | by_class


def curves_by_kind(
    matches: Sequence[Matches], categories: int, do: Callable[..., Iterable] = map
) -> dict[str, list[Curves]]:
    """Returns for boxes and masks the curves of each category; arguments as in ``summarize``.

    Example:
      >>> nothing = match({"images": [{"id": 5}], "categories": [{"id": 1}], "annotations": []}, [])
      >>> {kind: len(curves) for kind, curves in curves_by_kind([nothing], categories=1).items()}
      {'bbox': 1, 'segm': 1}
    """
    matches = sorted(matches, key=lambda one: one.image_id)
    parts = [entries for kind in KINDS for entries in _by_category(matches, kind, categories)]
    curves = list(do(_curves, parts))
    return {kind: curves[place * categories :][:categories] for place, kind in enumerate(KINDS)}


def mean_curve(curves: Sequence[Curves], iou: float) -> np.ndarray:
    """Returns the precision at 101 recalls, averaged over the categories that have objects; 0 without an object.

    It counts objects of all sizes and up to 100 detections per image.

    Args:
      curves: the curves of each category.
      iou: the IoU threshold of a match: 0.5, 0.55, ..., 0.95.

    Example:
      >>> half = np.full((10, 101, 1, 4, 3), 0.5)  # thresholds, recalls, categories, areas, numbers of detections
      >>> mean_curve([Curves(half, np.ones((10, 1, 4, 3)))], iou=0.75)[0].item()
      0.5
    """
    place = round((iou - 0.5) / 0.05)
    rows = [one.precision[place, :, 0, 0, -1] for one in curves]
    rows = [row for row in rows if row[0] > -1]
    return np.mean(rows, axis=0) if rows else np.zeros(101)


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


def _by_category(matches: Sequence[Matches], kind: str, categories: int) -> list[list[Entries]]:
    """Returns the entries of all images per category and range of areas."""
    slots = list(zip(*(one.by_kind[kind] for one in matches), strict=True))
    areas = len(slots) // categories
    return [slots[start : start + areas] for start in range(0, len(slots), areas)]


def _curves(entries: Sequence[Entries]) -> Curves:
    """Returns the curves of one category, as if the evaluator had matched all images itself."""
    evaluator = _evaluator(categories=1)
    evaluator.params.imgIds = list(range(len(entries[0])))
    evaluator.evalImgs = [entry for of_images in entries for entry in of_images]
    evaluator._paramsEval = evaluator.params
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.accumulate()
    return Curves(evaluator.eval["precision"], evaluator.eval["recall"])


def _numbers(curves: Sequence[Curves]) -> np.ndarray:
    """Returns the twelve numbers of the evaluator from the curves of each category."""
    evaluator = _evaluator(len(curves))
    evaluator.eval = {
        "precision": np.concatenate([one.precision for one in curves], axis=2),
        "recall": np.concatenate([one.recall for one in curves], axis=1),
    }
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.summarize()
    return evaluator.stats


def _evaluator(categories: int) -> COCOeval:
    """Returns an evaluator that has matched nothing; it serves boxes and masks."""
    evaluator = COCOeval(iouType="bbox")
    evaluator.params.catIds = list(range(categories))
    return evaluator


def _mean_precision(curves: Curves) -> float | None:
    """Returns the AP of a category over all sizes, with up to 100 detections per image."""
    precision = curves.precision[:, :, 0, 0, -1]
    defined = precision[precision > -1]
    return float(defined.mean()) if defined.size else None

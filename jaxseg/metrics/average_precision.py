"""COCO's average precision of boxes and masks: curves of each category and the scores of a data set.

Boxes and masks have twelve numbers each, see cocodataset.org/#detection-eval. pycocotools computes them in parts that
processes share. Precision-recall curves need one category at a time; ``coco_matching.py`` matches one image at a time.
"""

import contextlib
import io
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from pycocotools.cocoeval import COCOeval

from jaxseg.metrics.coco_matching import KINDS, Entries, Matches

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
SCORES = tuple(f"{kind}_{number}" for kind in KINDS for number in NUMBERS)


class Curves(NamedTuple):
    """Precision and recall of some categories; -1 where there is nothing to score.

    Attributes:
      precision: ``[thresholds, recalls, categories, areas, numbers of detections]``.
      recall: ``[thresholds, categories, areas, numbers of detections]``.
    """

    precision: np.ndarray
    recall: np.ndarray


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
      >>> from jaxseg.metrics.coco_matching import match
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
      >>> from jaxseg.metrics.coco_matching import match
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

"""Errors of a detector and their costs: the six kinds of TIDE (Bolya et al., ECCV 2020).

A detection that matches no object with IoU at least 0.5 is one of these, tested in this order::

    localization     it overlaps an object of its class with IoU 0.1 to 0.5
    classification   it overlaps an object of another class with IoU at least 0.5
    duplicate        it overlaps an object of its class that a better detection matches
    background       its IoU with every object is at most 0.1
    both             it overlaps an object of another class, with IoU 0.1 to 0.5

An object that no detection matches, and that none of these errors would match when repaired, is missed. The cost of a
kind is how much AP50 rises when all errors of this kind, and nothing else, are repaired.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_masks

KINDS = ("classification", "localization", "both", "duplicate", "background")
ERRORS = (*KINDS, "missed")
RIGHT = -1
FOREGROUND_IOU = 0.5
BACKGROUND_IOU = 0.1
RECALLS = np.linspace(0, 1, 101)


class ImageErrors(NamedTuple):
    """The detections of one image, best first, and its objects.

    Attributes:
      scores: float32 ``[d]``.
      categories: int32 ``[d]``.
      kinds: int8 ``[d]``, an index into ``KINDS``, or ``RIGHT``.
      repaired: int32 ``[d]``, the category for which the detection would be right if repaired; -1 removes it.
      in_crowd: bool ``[d]``, the detection does not count, unless it is repaired.
      objects: int32 ``[m]``, the category of each object.
      missed: int32, the categories of missed objects.
    """

    scores: np.ndarray
    categories: np.ndarray
    kinds: np.ndarray
    repaired: np.ndarray
    in_crowd: np.ndarray
    objects: np.ndarray
    missed: np.ndarray


def find_errors(found: Sequence[Mapping[str, Any]], objects: Sequence[Mapping[str, Any]], field: str) -> ImageErrors:
    """Returns the error of each detection of one image.

    Args:
      found: entries of results with "score", "category_id" and ``field``.
      objects: annotations with "category_id", ``field`` and optionally "iscrowd"; detections in crowd regions do not
        count.
      field: "bbox", as [x, y, width, height], or "segmentation", as compressed run lengths.

    Example:
      >>> objects = [{"category_id": 1, "bbox": [0, 0, 10, 10]}]
      >>> boxes = [[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 10, 10]]
      >>> found = [{"score": 0.9 - i / 10, "category_id": 1, "bbox": box} for i, box in enumerate(boxes)]
      >>> ["right" if kind == RIGHT else KINDS[kind] for kind in find_errors(found, objects, "bbox").kinds]
      ['right', 'duplicate', 'background']
    """
    found = sorted(found, key=lambda one: -one["score"])
    crowds = [one for one in objects if one.get("iscrowd")]
    objects = [one for one in objects if not one.get("iscrowd")]
    categories = np.array([one["category_id"] for one in found], np.int32)
    gt_categories = np.array([one["category_id"] for one in objects], np.int32)
    iou = _overlaps(found, objects, field)
    same = categories[:, None] == gt_categories
    match = _match(iou * same)
    in_crowd = (match < 0) & _in_crowd(found, categories, crowds, field)
    used = np.isin(np.arange(len(objects)), match)
    kinds, repaired = np.full(len(found), RIGHT, np.int8), np.full(len(found), -1, np.int32)
    claimed = used.copy()  # an object is repaired by the best detection only
    for row in np.flatnonzero(match < 0):
        kind, gt = _kind(iou[row], same[row], used)
        kinds[row] = KINDS.index(kind)
        if gt >= 0 and not claimed[gt]:
            claimed[gt] = True
            repaired[row] = gt_categories[gt]
    scores = np.array([one["score"] for one in found], np.float32)
    return ImageErrors(scores, categories, kinds, repaired, in_crowd, gt_categories, gt_categories[~claimed])


def _match(iou: np.ndarray) -> np.ndarray:
    """Returns the object that each detection matches, best detections first, or -1: int ``[d]``."""
    left, match = iou.copy(), np.full(len(iou), -1)
    if iou.size:
        for row in range(len(iou)):
            gt = int(left[row].argmax())
            if left[row, gt] >= FOREGROUND_IOU:
                match[row] = gt
                left[:, gt] = 0
    return match


def _kind(iou: np.ndarray, same: np.ndarray, used: np.ndarray) -> tuple[str, int]:
    """Returns the kind of error of a detection, and the object that it would match if repaired or -1."""
    if not iou.size:
        return "background", -1
    own, other, taken = iou * same, iou * ~same, iou * same * used
    if BACKGROUND_IOU <= own.max() <= FOREGROUND_IOU:
        return "localization", int(own.argmax())
    if other.max() >= FOREGROUND_IOU:
        return "classification", int(other.argmax())
    if taken.max() >= FOREGROUND_IOU:
        return "duplicate", -1
    return ("background" if iou.max() <= BACKGROUND_IOU else "both"), -1


def _overlaps(found: Sequence[Mapping], objects: Sequence[Mapping], field: str, crowd: bool = False) -> np.ndarray:
    if not found or not objects:
        return np.zeros((len(found), len(objects)))
    flags = [int(crowd)] * len(objects)
    return np.asarray(coco_masks.iou([one[field] for one in found], [one[field] for one in objects], flags))


def _in_crowd(found: Sequence[Mapping], categories: np.ndarray, crowds: Sequence[Mapping], field: str) -> np.ndarray:
    """Returns whether detections lie in a crowd region of their class: bool ``[d]``."""
    same = categories[:, None] == np.array([one["category_id"] for one in crowds], np.int32)
    return ((_overlaps(found, crowds, field, crowd=True) > FOREGROUND_IOU) & same).any(axis=1)


def error_costs(images: Sequence[ImageErrors]) -> dict[str, float]:
    """Returns the AP50 that each kind of error costs, by ``ERRORS``, as fractions of 1; {} without an object.

    Example:
      >>> missed = find_errors([], [{"category_id": 1, "bbox": [0, 0, 10, 10]}], "bbox")
      >>> error_costs([missed])
      {'classification': 0.0, 'localization': 0.0, 'both': 0.0, 'duplicate': 0.0, 'background': 0.0, 'missed': 0.0}
    """
    if not sum(len(one.objects) for one in images):
        return {}
    parts = [np.concatenate([getattr(one, field) for one in images]) for field in ImageErrors._fields]
    scores, categories, kinds, repaired, in_crowd, objects, missed = parts
    right, counts = kinds == RIGHT, ~in_crowd
    base = _mean_precision(scores[counts], categories[counts], right[counts], objects)
    costs = {}
    for number, name in enumerate(KINDS):
        wrong = kinds == number
        keep = np.where(wrong, repaired >= 0, counts)
        fixed = np.where(wrong, repaired, categories)
        after = _mean_precision(scores[keep], fixed[keep], (right | wrong)[keep], objects)
        costs[name] = max(after - base, 0.0)
    costs["missed"] = max(
        _mean_precision(scores[counts], categories[counts], right[counts], objects, missed) - base, 0.0
    )
    return costs


def _mean_precision(
    scores: np.ndarray, categories: np.ndarray, right: np.ndarray, objects: np.ndarray, removed: np.ndarray = ()
) -> float:
    """Returns AP averaged over the categories with an object or a detection; ``removed`` objects do not count."""
    order = np.argsort(-scores, kind="stable")
    categories, right = categories[order], right[order]
    precisions = []
    for category in np.union1d(objects, categories):
        own = right[categories == category]
        total = np.count_nonzero(objects == category) - np.count_nonzero(np.asarray(removed) == category)
        if total or len(own):
            precisions.append(_average_precision(own, total) if total else 0.0)
    return float(np.mean(precisions)) if precisions else 0.0


def _average_precision(right: np.ndarray, total: int) -> float:
    """Returns the mean precision at 101 recalls of detections in the order of their scores."""
    hits = np.cumsum(right)
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    places = np.searchsorted(hits / total, RECALLS, side="left")
    return float(precision[places[places < len(precision)]].sum() / len(RECALLS))

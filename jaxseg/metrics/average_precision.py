"""COCO's average precision of boxes and masks by pycocotools' own evaluator: image by image, then all together.

Twelve numbers each, see cocodataset.org/#detection-eval. To match what was found to what is there takes nearly all of
the time, and needs one image alone, so that any process can do it.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

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
KINDS = {"bbox": "bbox", "segm": "segmentation"}  # of boxes and of masks: the evaluator's names, and the results'
SCORES = tuple(f"{kind}_{number}" for kind in KINDS for number in NUMBERS)


class Matches(NamedTuple):
    """What of an image was found.

    Attributes:
      image_id: its number.
      objects: how many there are to find, crowds among them.
      by_kind: for boxes and masks what the evaluator keeps of an image: an entry for each category and range of areas,
        None where there is nothing of that category.
    """

    image_id: int
    objects: int
    by_kind: Mapping[str, Sequence[Mapping[str, Any] | None]]


def match(truth: dict[str, Any], found: Sequence[dict[str, Any]]) -> Matches:
    """Matches what was found in an image to what is there.

    Args:
      truth: a data set of one image in COCO's format.
      found: entries of a results file with box and mask, without the image's number.
    """
    ((image_id),) = (image["id"] for image in truth["images"])
    by_kind = {kind: [_needed(entry) for entry in _matched(truth, found, image_id, kind)] for kind in KINDS}
    return Matches(image_id, len(truth["annotations"]), by_kind)


def summarize(
    matches: Sequence[Matches], category_ids: Sequence[int], scored_ids: Sequence[int]
) -> dict[str, float | list[float | None] | None]:
    """The scores of a data set.

    Args:
      matches: of every image once, in any order.
      category_ids: of each class.
      scored_ids: the categories of the truth.

    Returns:
      By name, see ``SCORES``; None where there is nothing to score, such as no small object. And for boxes and masks
      the AP of each class, ``bbox_AP_by_class`` and ``segm_AP_by_class``, None for the background and unused classes.

    Raises:
      ValueError: there is no object.
    """
    if not any(one.objects for one in matches):
        raise ValueError("there is no object to score: the split is empty, or its images are")
    matches = sorted(matches, key=lambda one: one.image_id)
    by_number, by_class = {}, {}
    for kind in KINDS:
        evaluator = _accumulated([one.by_kind[kind] for one in matches], sorted(scored_ids), kind)
        for number, value in zip(NUMBERS, evaluator.stats, strict=True):
            by_number[f"{kind}_{number}"] = _defined(value)
        of_category = dict(zip(evaluator.params.catIds, _by_category(evaluator), strict=True))
        by_class[f"{kind}_AP_by_class"] = [of_category.get(int(category)) for category in category_ids]
    return by_number | by_class


def _matched(truth: dict[str, Any], found: Sequence[dict[str, Any]], image_id: int, kind: str) -> list:
    """The evaluator's entries of one image. It says nothing on the console, and changes nothing that it is given."""
    with contextlib.redirect_stdout(io.StringIO()):
        right = _dataset(truth, [dict(annotation) for annotation in truth["annotations"]])
        # Each kind of result is as in a file of its own: a mask's area is not that of its box.
        fields = ("category_id", "score", KINDS[kind])
        entries = [{"image_id": image_id} | {field: one[field] for field in fields} for one in found]
        given = right.loadRes(entries) if entries else _dataset(truth, [])
        evaluator = COCOeval(right, given, kind)
        evaluator.evaluate()
    return evaluator.evalImgs


def _dataset(truth: dict[str, Any], annotations: list[dict[str, Any]]) -> COCO:
    dataset = COCO()
    dataset.dataset = truth | {"annotations": annotations}
    dataset.createIndex()
    return dataset


def _needed(entry: dict[str, Any] | None) -> dict[str, Any] | None:
    """What ``accumulate`` reads of an entry; of a match, whether there is one, which takes an eighth of the bytes."""
    if entry is None:
        return None
    return {
        "dtScores": entry["dtScores"],
        "dtMatches": entry["dtMatches"] != 0,
        "dtIgnore": entry["dtIgnore"],
        "gtIgnore": entry["gtIgnore"],
    }


def _accumulated(images: Sequence[Sequence], scored_ids: Sequence[int], kind: str) -> COCOeval:
    """The evaluator with the results of all images, as if it had matched them itself."""
    evaluator = COCOeval(iouType=kind)
    evaluator.params.imgIds = list(range(len(images)))
    evaluator.params.catIds = list(scored_ids)
    evaluator.evalImgs = [entry for of_images in zip(*images, strict=True) for entry in of_images]
    evaluator._paramsEval = evaluator.params
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


def _by_category(evaluator: COCOeval) -> list[float | None]:
    """The AP of each category over all sizes, with up to 100 detections an image."""
    precision = evaluator.eval["precision"][:, :, :, 0, -1]  # [thresholds, recalls, categories]
    means = []
    for category in range(precision.shape[2]):
        defined = precision[:, :, category][precision[:, :, category] > -1]
        means.append(float(defined.mean()) if defined.size else None)
    return means


def _defined(value: float) -> float | None:
    """A number of the evaluator's, which says -1 where there is nothing to score."""
    return None if value < 0 else float(value)

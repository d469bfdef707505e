"""COCO's average precision of boxes and masks, computed by pycocotools' own evaluator in original pixels.

Twelve numbers each, see cocodataset.org/#detection-eval. Masks are pasted and encoded by threads while the device works
on; what is kept of a detection is an entry of a COCO results file, a few hundred bytes.
"""

import contextlib
import io
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import cv2
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from jaxseg.data import rle
from jaxseg.data.coco_format import ground_truth
from jaxseg.types import Source

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
KINDS = ("bbox", "segm")  # of boxes and of masks, as pycocotools calls them
SCORES = tuple(f"{kind}_{number}" for kind in KINDS for number in NUMBERS)
THREADS = 2


class Scoring(NamedTuple):
    """An evaluation under way.

    Attributes:
      source: the split that is scored.
      threads: do the work.
      truth: will be all objects of the split, in COCO's format.
      found: will be the results, one list an image.
    """

    source: Source
    threads: ThreadPoolExecutor
    truth: Future
    found: tuple[Future, ...] = ()


def start(source: Source) -> Scoring:
    """An evaluation that has seen no image yet.

    Raises:
      ValueError: the data set has no objects.
    """
    if source.catalogue is None:
        raise ValueError("the data set has label maps but no objects: detectors cannot be scored on it")
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="jaxseg-metrics")
    return Scoring(source, threads, threads.submit(ground_truth, source))


def add(scoring: Scoring, instances: Any, index: int, size: tuple[int, int]) -> Scoring:
    """The evaluation with one image more.

    Args:
      scoring: the evaluation so far.
      instances: of one image: numpy arrays ``boxes [d, 4]``, in original pixels, ``scores [d]``, ``classes [d]``,
        ``valid [d]``, and ``masks [d, n, n]``, probabilities within each box.
      index: which record of the source the image is.
      size: its original height and width.
    """
    catalogue = scoring.source.catalogue
    image_id = int(catalogue.image_ids[index])

    def described() -> list[dict[str, Any]]:
        return [{"image_id": image_id, **result} for result in describe(instances, size, catalogue.category_ids)]

    return scoring._replace(found=(*scoring.found, scoring.threads.submit(described)))


def results(scoring: Scoring) -> list[dict[str, Any]]:
    """All that was found, as entries of a COCO results file with both box and mask; ready for JSON."""
    return [result for found in scoring.found for result in found.result()]


def scores(scoring: Scoring, found: list[dict[str, Any]]) -> dict[str, Any]:
    """The scores of results, from whatever processes they come; ends the evaluation.

    Returns:
      By name, see ``SCORES``; None where there is nothing to score, such as no small object. And for boxes and masks
      the AP of each class, ``bbox_AP_by_class`` and ``segm_AP_by_class``, None for the background and unused classes.

    Raises:
      ValueError: the split has no object.
    """
    truth = scoring.truth.result()
    scoring.threads.shutdown()
    if not truth["annotations"]:
        raise ValueError("there is no object to score: the split is empty, or its images are")
    return average_precision(truth, found, scoring.source.catalogue.category_ids)


def average_precision(
    truth: dict[str, Any], found: list[dict[str, Any]], category_ids: Sequence[int]
) -> dict[str, float | list[float | None] | None]:
    """The scores of a results list, see ``scores``.

    Args:
      truth: in COCO's format.
      found: entries of a results file.
      category_ids: of each class.
    """
    by_number, by_class = {}, {}
    for kind in KINDS:
        evaluator = _evaluated(truth, found, kind)
        for number, value in zip(NUMBERS, evaluator.stats, strict=True):
            by_number[f"{kind}_{number}"] = _defined(value)
        of_category = dict(zip(evaluator.params.catIds, _by_category(evaluator), strict=True))
        by_class[f"{kind}_AP_by_class"] = [of_category.get(int(category)) for category in category_ids]
    return by_number | by_class


def describe(instances: Any, size: tuple[int, int], category_ids: Sequence[int]) -> list[dict[str, Any]]:
    """The instances of one image, see ``add``, as entries of a COCO results file without its number, best first."""
    results = []
    for slot in np.flatnonzero(instances.valid):
        box = np.asarray(instances.boxes[slot], np.float32)
        x1, y1, x2, y2 = (float(side) for side in box)
        part, corner = _visible_part(np.asarray(instances.masks[slot], np.float32), box, size)
        results.append(
            {
                "category_id": int(category_ids[int(instances.classes[slot])]),
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "score": float(instances.scores[slot]),
                "segmentation": rle.encode_within(part >= 0.5, corner, size),
            }
        )
    return results


def paste(probabilities: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """One mask ``[n, n]`` laid into its image, float32 ``[h, w]``: what ``ops.masks.paste`` does, here on the host."""
    part, (top, left) = _visible_part(probabilities, box, size)
    image = np.zeros(size, np.float32)
    image[top : top + part.shape[0], left : left + part.shape[1]] = part
    return image


def _visible_part(
    probabilities: np.ndarray, box: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, tuple[int, int]]:
    """One mask stretched over its box and cut at the image's border, ``[h, w]``, and where in the image it begins."""
    padded = np.pad(probabilities, 1)
    half = (box[2:] - box[:2]) * np.float32(0.5) * np.float32(padded.shape[0] / probabilities.shape[0])
    centre = (box[2:] + box[:2]) * np.float32(0.5)
    (x1, y1), (x2, y2) = (np.trunc(corner).astype(int) for corner in (centre - half, centre + half))
    width, height = max(x2 - x1 + 1, 1), max(y2 - y1 + 1, 1)
    stretched = cv2.resize(padded, (int(width), int(height)), interpolation=cv2.INTER_LINEAR)
    top, left = (int(np.clip(start, 0, side)) for start, side in ((y1, size[0]), (x1, size[1])))
    return stretched[top - y1 : max(size[0] - y1, 0), left - x1 : max(size[1] - x1, 0)], (top, left)


def _evaluated(truth: dict[str, Any], found: list[dict[str, Any]], kind: str) -> COCOeval:
    """Pycocotools' evaluator with its results; it says nothing on the console, and changes nothing that it is given."""
    with contextlib.redirect_stdout(io.StringIO()):
        right = _dataset(truth, [dict(annotation) for annotation in truth["annotations"]])
        # Each kind of result is as in a file of its own: a mask's area is not that of its box.
        fields = {"bbox": ("bbox",), "segm": ("segmentation",)}[kind]
        fields = ("image_id", "category_id", "score", *fields)
        entries = [{field: one[field] for field in fields} for one in found]
        given = right.loadRes(entries) if entries else _dataset(truth, [])
        evaluator = COCOeval(right, given, kind)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


def _dataset(truth: dict[str, Any], annotations: list[dict[str, Any]]) -> COCO:
    dataset = COCO()
    dataset.dataset = truth | {"annotations": annotations}
    dataset.createIndex()
    return dataset


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

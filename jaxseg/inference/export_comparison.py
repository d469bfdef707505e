"""How far the results of an export differ from those of its run."""

from collections.abc import Sequence

import numpy as np

from jaxseg.inference.results import Result
from jaxseg.inference.semantic_result import SemanticResult


def compare_results(expected: Sequence[Result], found: Sequence[Result]) -> dict[str, float]:
    """Returns the largest differences between results of a run and of its export.

    Returns:
      For semantic models ``pixels``, the largest share of an image's pixels with another class. For detectors
      ``missing`` and ``score``. ``missing`` is the share of detections above 0.5 without a partner of the same class
      and an IoU of at least 0.9. ``score`` is the largest difference of scores of partners.
    """
    if isinstance(expected[0], SemanticResult):
        shares = [float(np.mean(one.mask != other.mask)) for one, other in zip(expected, found, strict=True)]
        return {"pixels": max(shares)}
    missing = total = 0
    score = 0.0
    # A model that is sure of nothing is compared by its best detections, so that the comparison is never empty.
    least = min(0.5, max(float(one.scores.max(initial=0)) for one in expected))
    for one, other in zip(expected, found, strict=True):
        for slot in np.flatnonzero(one.scores >= least):
            total += 1
            same = np.flatnonzero(other.class_ids == one.class_ids[slot])
            ious = [box_iou(one.boxes[slot], other.boxes[number]) for number in same]
            if not ious or max(ious) < 0.9:
                missing += 1
                continue
            score = max(score, abs(float(one.scores[slot] - other.scores[same[int(np.argmax(ious))]])))
    return {"missing": missing / max(total, 1), "score": score}


def box_iou(one: np.ndarray, other: np.ndarray) -> float:
    """Returns intersection over union of two boxes.

    Example:
      >>> box_iou(np.array([0, 0, 2, 2]), np.array([1, 0, 3, 2]))
      0.3333333333333333
    """
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    areas = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]))
    return shared / max(areas - shared, 1e-9)

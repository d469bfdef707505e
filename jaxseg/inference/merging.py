"""Detections of several views or tiles of one image, merged by non-maximum suppression, on the host."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Found(NamedTuple):
    """Detections in one image, on the host.

    Attributes:
      boxes: float32 ``[d, 4]``, in the image's own pixels.
      scores: float32 ``[d]``.
      classes: int32 ``[d]``.
      masks: float32 ``[d, 28, 28]``, probabilities within each box.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    masks: np.ndarray


def merge_found(
    parts: Sequence[Found], iou: float, most: int | None = None, cut: Sequence[np.ndarray] | None = None
) -> Found:
    """Merges detections, best first.

    Args:
      parts: detections of each view, in the pixels of one image.
      iou: a detection is dropped if it overlaps a better one of its class by more than this.
      most: the largest number of detections to keep; None keeps all.
      cut: for each part, which of its objects are cut by a tile's border, bool ``[d]``. These come after all others,
        and are also dropped if a kept object covers more than half of them.
    """
    joined = Found(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    is_cut = np.zeros(len(joined.scores), bool) if cut is None else np.concatenate(list(cut))
    kept = []
    for number in np.unique(joined.classes):
        own = np.flatnonzero(joined.classes == number)
        kept += own[suppress(joined.boxes[own], joined.scores[own], is_cut[own], iou)].tolist()
    order = sorted(kept, key=lambda slot: (-joined.scores[slot], slot))[:most]
    return Found(*(array[order] for array in joined))


def suppress(boxes: np.ndarray, scores: np.ndarray, cut: np.ndarray, iou: float) -> np.ndarray:
    """Returns the numbers of the boxes ``[n, 4]`` of one class that no better box suppresses.

    >>> boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]], np.float32)
    >>> suppress(boxes, np.array([0.8, 0.9, 0.5]), np.zeros(3, bool), 0.5).tolist()
    [1, 2]
    """
    remaining = np.lexsort((-scores, cut))
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    kept = []
    while len(remaining):
        best, remaining = remaining[0], remaining[1:]
        kept.append(best)
        sides = np.minimum(boxes[best, 2:], boxes[remaining, 2:]) - np.maximum(boxes[best, :2], boxes[remaining, :2])
        inside = np.prod(np.maximum(sides, 0), axis=1)
        union = areas[best] + areas[remaining] - inside
        covered = cut[remaining] & (inside > 0.5 * areas[remaining])
        remaining = remaining[~((inside > iou * union) | covered)]
    return np.array(kept, int)


def mirror(found: Found, width: int) -> Found:
    """Returns detections in a mirrored image as detections in the image itself, which is ``width`` pixels wide."""
    x1, y1, x2, y2 = found.boxes.T
    boxes = np.stack([width - x2, y1, width - x1, y2], axis=1).astype(np.float32)
    return found._replace(boxes=boxes, masks=found.masks[:, :, ::-1])

"""Label maps drawn from objects, so that semantic models can be trained on data sets of objects."""

from collections.abc import Iterable

import numpy as np

from jaxseg.data.geometry import occupied
from jaxseg.types import IGNORE, Objects


def paint(size: tuple[int, int], ordered: Iterable[Objects]) -> np.ndarray:
    """Draws objects into a label map, uint8 ``[h, w]``, one over the other.

    Pixels of crowd regions, and of boxes without a mask, are IGNORE where no object is. All others are the background.

    Args:
      size: (height, width).
      ordered: objects in the order in which they are drawn: larger ones first, so that small objects stay visible.

    Example:
      >>> mask = np.array([[[0, 1, 1]]], np.uint8)
      >>> paint((1, 3), [Objects(np.array([[1, 0, 3, 1.0]]), np.array([2]), mask, np.array([False]))]).tolist()
      [[0, 2, 2]]
    """
    label = np.zeros(size, np.uint8)
    for objects in ordered:
        drawn = occupied(objects.masks)
        for i, mask in enumerate(objects.masks):
            if objects.crowd[i] or not drawn[i]:
                x1, y1, x2, y2 = np.rint(objects.boxes[i]).astype(int)
                region = label[y1:y2, x1:x2]
                covered = mask[y1:y2, x1:x2] != 0 if drawn[i] else np.ones(region.shape, bool)
                region[covered & (region == 0)] = IGNORE
            else:
                label[mask != 0] = objects.classes[i]
    return label


def to_label_map(objects: Objects, size: tuple[int, int]) -> np.ndarray:
    """Draws all objects of an image into a label map, uint8 ``[h, w]``, the largest first."""
    x1, y1, x2, y2 = objects.boxes.T
    order = np.argsort(-(x2 - x1) * (y2 - y1), kind="stable")
    return paint(size, [Objects(*(field[order] for field in objects))])

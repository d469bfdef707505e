"""The geometry of masks and boxes that sources and workers need."""

import numpy as np


def boxes_of_masks(masks: np.ndarray) -> np.ndarray:
    """The tight box of each mask.

    Args:
      masks: ``[m, h, w]``, nonzero on the object.

    Returns:
      float32 ``[m, 4]``, ``[x1, y1, x2, y2]``: pixel x covers x to x + 1, so one pixel has a box of side 1. An empty
      mask has the box 0, 0, 0, 0.
    """
    x1, x2 = _extent(np.any(masks, axis=1))
    y1, y2 = _extent(np.any(masks, axis=2))
    return np.stack([x1, y1, x2, y2], axis=1).astype(np.float32)


def _extent(occupied: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first True and one past the last True of each row of ``[m, n]``; 0 and 0 for a row without one."""
    if occupied.shape[1] == 0:
        return np.zeros(len(occupied)), np.zeros(len(occupied))
    start = np.argmax(occupied, axis=1)
    stop = occupied.shape[1] - np.argmax(occupied[:, ::-1], axis=1)
    return start, np.where(np.any(occupied, axis=1), stop, 0)

"""The geometry of masks and boxes that sources and workers need."""

import numpy as np


def boxes_of_masks(masks: np.ndarray) -> np.ndarray:
    """Returns the tight box of each mask.

    Args:
      masks: ``[m, h, w]``, nonzero on the object.

    Returns:
      float32 ``[m, 4]``, ``[x1, y1, x2, y2]``: pixel x covers x to x + 1, so one pixel has a box of side 1. An empty
      mask has the box 0, 0, 0, 0.
    """
    # The greatest of bytes is found faster than whether there is any.
    x1, x2 = _extent(masks.max(axis=1, initial=0) != 0)
    y1, y2 = _extent(masks.max(axis=2, initial=0) != 0)
    return np.stack([x1, y1, x2, y2], axis=1).astype(np.float32)


def _extent(hit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first True and one past the last True of each row of ``[m, n]``; 0 and 0 for a row without one."""
    if hit.shape[1] == 0:
        return np.zeros(len(hit)), np.zeros(len(hit))
    start = np.argmax(hit, axis=1)
    stop = hit.shape[1] - np.argmax(hit[:, ::-1], axis=1)
    return start, np.where(np.any(hit, axis=1), stop, 0)


def occupied(masks: np.ndarray) -> np.ndarray:
    """Returns which of the masks ``[m, h, w]`` are not empty: bool ``[m]``."""
    return masks.max(axis=2, initial=0).max(axis=1, initial=0) != 0

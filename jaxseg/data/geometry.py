"""The geometry of masks and boxes that sources and workers need."""

import math

import numpy as np

MOST_RADIUS = 100_000  # pixels


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


def polygon_of_ellipse(x: float, y: float, radius_x: float, radius_y: float, degrees: float = 0.0) -> list[float]:
    """Returns a polygon ``[x1, y1, x2, y2, ...]`` around an ellipse, with corners at most about two pixels apart.

    Args:
      x: center.
      y: center.
      radius_x: half of the width before the ellipse is turned.
      radius_y: half of the height before the ellipse is turned.
      degrees: by which the ellipse is turned clockwise about its center.

    Raises:
      ValueError: a radius is no length in an image.
    """
    radius = max(radius_x, radius_y)
    if not 0 <= radius <= MOST_RADIUS:
        raise ValueError(f"an ellipse has the radius {radius}; expected at most {MOST_RADIUS} pixels")
    count = max(16, math.ceil(math.pi * radius))
    turn = math.radians(degrees)
    polygon = []
    for i in range(count):
        angle = 2 * math.pi * i / count
        across, down = radius_x * math.cos(angle), radius_y * math.sin(angle)
        polygon += [
            x + across * math.cos(turn) - down * math.sin(turn),
            y + across * math.sin(turn) + down * math.cos(turn),
        ]
    return polygon

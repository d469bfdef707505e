"""Weights that make a network learn the thin borders between objects: U-Net (Ronneberger et al. 2015), equation 2."""

import math
from typing import NamedTuple

import cv2
import ml_collections
import numpy as np

from jaxseg.types import IGNORE

REACH = 4  # sigmas; farther from a second object, the weight is less than a 2,900th of w0


class Border(NamedTuple):
    """``config.data.border_weight`` and ``border_width``: w0 and sigma of the paper, sigma in pixels."""

    weight: float
    width: float


def border_of(data_config: ml_collections.ConfigDict) -> Border | None:
    """Returns the border weight of the config; None where it is 0.

    Raises:
      ValueError: a weight below 0, or a width that is not above.
    """
    border = Border(data_config.border_weight, data_config.border_width)
    if border.weight < 0 or border.width <= 0:
        raise ValueError(
            f"config.data.border_weight is {border.weight} and config.data.border_width {border.width}; expected a "
            "weight of 0 or more and a width above 0"
        )
    return border if border.weight else None


def border_weights(label: np.ndarray, border: Border) -> np.ndarray:
    """Returns ``1 + w0 exp(-(d1 + d2)^2 / (2 sigma^2))`` on the background, 1 elsewhere: float32 ``[h, w]``.

    d1 and d2 are the distances to the nearest and to the second nearest object; an object is a connected region,
    without diagonals, of classes other than 0. The paper's w_c, which balances the classes, is not in it: the loss
    multiplies by ``config.loss.class_weights``.

    Args:
      label: uint8 ``[h, w]``, 0 for the background.
      border: w0 and sigma.
    """
    background = label == 0
    nearest, second = _distances((~background & (label != IGNORE)).astype(np.uint8), REACH * border.width)
    closeness = np.exp(-np.square(nearest + second) / (2 * border.width**2))
    return np.where(background, 1 + border.weight * closeness, 1).astype(np.float32)


def _distances(foreground: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distances to the nearest and the second nearest object, float32 ``[h, w]``; inf beyond reach."""
    count, numbers, boxes, _ = cv2.connectedComponentsWithStats(foreground, connectivity=4)
    nearest = np.full(foreground.shape, np.inf, np.float32)
    second = nearest.copy()
    margin = math.ceil(reach)
    for number in range(1, count):  # 0 is what belongs to no object
        left, top, columns, rows = boxes[number, :4]
        near = np.s_[max(0, top - margin) : top + rows + margin, max(0, left - margin) : left + columns + margin]
        others = (numbers[near] != number).astype(np.uint8)
        distance = cv2.distanceTransform(others, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        # The last bit of OpenCV's roots is not the same each time; their squares are whole numbers.
        distance = np.sqrt(np.rint(np.square(distance)))
        second[near] = np.minimum(second[near], np.maximum(nearest[near], distance))
        nearest[near] = np.minimum(nearest[near], distance)
    return nearest, second

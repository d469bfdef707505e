"""Masks of instance numbers: 0 is the background, and each object has a number of its own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxseg.data.geometry import boxes_of_masks
from jaxseg.data.images import printable
from jaxseg.data.masks.reading import read_mask
from jaxseg.data.masks.scan import MaskSummary
from jaxseg.types import Objects

CLASS_NAMES = ("background", "object", "border")
PALETTE = np.array([[0, 0, 0], [240, 160, 60], [60, 160, 230]], np.uint8)
OBJECT, BORDER = 1, 2
SINGLE = 0.8  # share of numbers that form one region each, from which numbers count as instances
MOST_CLASSES = 32  # more different numbers than that are not classes


def are_instances(summaries: Sequence[MaskSummary]) -> bool:
    """Returns whether masks look like instance numbers.

    Nearly every number forms one connected region. The numbers are many, or the files have more than 8 bits and the
    highest number differs from file to file, as it does with cells.
    """
    looked = [summary for summary in summaries if summary.single >= 0]
    numbers = sum(sum(value > 0 for value in summary.values) for summary in looked)
    if not looked or sum(summary.single for summary in looked) < SINGLE * numbers:
        return False
    if any(summary.kind != "gray" or summary.is_lossy for summary in summaries):
        return False
    different = {value for summary in summaries for value in summary.values}
    highest = {max(summary.values) for summary in summaries}
    counted = all(summary.values == tuple(range(len(summary.values))) for summary in summaries)
    is_deep = all(summary.single >= 0 or len(summary.values) == 1 for summary in summaries)
    return len(different) > MOST_CLASSES or (is_deep and counted and len(highest) > 1 and max(highest) > 2)


def read_instances(path: Path) -> np.ndarray:
    """Reads a mask of instance numbers, int32 ``[h, w]``.

    Raises:
      ValueError: the file cannot be read, or has colors.
    """
    mask = read_mask(path)
    if mask.kind == "color":
        raise ValueError(
            f"{printable(path)} has colors; expected one number per object. Set config.data.masks=classes, or save "
            "instance numbers in a gray image of 16 bits"
        )
    return mask.values.astype(np.int32)


def to_objects(numbers: np.ndarray) -> Objects:
    """Returns the objects of a mask of instance numbers, all of class 1, in the order of their numbers.

    Example:
      >>> to_objects(np.array([[0, 5, 5], [3, 0, 0]])).boxes.tolist()
      [[0.0, 1.0, 1.0, 2.0], [1.0, 0.0, 3.0, 1.0]]
    """
    values = np.unique(numbers)
    values = values[values > 0]
    masks = (numbers == values[:, None, None]).astype(np.uint8)
    boxes = boxes_of_masks(masks).astype(np.float32)
    return Objects(boxes, np.full(len(values), OBJECT, np.int32), masks, np.zeros(len(values), bool))


def to_label(numbers: np.ndarray) -> np.ndarray:
    """Returns the label map of a mask of instance numbers, uint8 ``[h, w]``: background, object, border.

    The border is every pixel of an object with a neighbor, without diagonals, of another number.

    Example:
      >>> to_label(np.array([[0, 4, 4, 4, 9, 9, 9]])).tolist()
      [[0, 2, 1, 2, 2, 1, 1]]
    """
    differs = np.zeros(numbers.shape, bool)
    down, right = numbers[1:] != numbers[:-1], numbers[:, 1:] != numbers[:, :-1]
    differs[1:] |= down
    differs[:-1] |= down
    differs[:, 1:] |= right
    differs[:, :-1] |= right
    return np.where(numbers == 0, 0, np.where(differs, BORDER, OBJECT)).astype(np.uint8)

"""Records of PASCAL VOC's two masks per image: the numbers of objects, and their classes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxseg.data.geometry import boxes_of_masks
from jaxseg.data.images import ReadOptions, read_image
from jaxseg.data.instances.label_maps import to_label_map
from jaxseg.data.masks import read_mask
from jaxseg.data.masks.coding import Coding
from jaxseg.data.masks.color_classes import VOC_BORDER
from jaxseg.data.masks.scan import MaskSummary
from jaxseg.data.sources.pairs import Pair, fit_to_image
from jaxseg.types import IGNORE, Objects, Record


class VocObjectRecords(Sequence):
    """Records that are read when they are asked for.

    Args:
      class_masks: image and ``SegmentationClass`` of each record.
      object_masks: image and ``SegmentationObject`` of each record.
      coding: the meaning of the values of ``SegmentationClass``.
      options: how to read images.
      tolerance: difference in pixels up to which masks are resized to their image.
      as_semantic: whether records have a label map instead of objects.
    """

    def __init__(
        self,
        class_masks: Sequence[Pair],
        object_masks: Sequence[Pair],
        coding: Coding,
        options: ReadOptions,
        tolerance: int,
        as_semantic: bool,
    ):
        self.class_masks = tuple(class_masks)
        self.object_masks = tuple(object_masks)
        self.coding = coding
        self.options = options
        self.tolerance = tolerance
        self.as_semantic = as_semantic

    def __len__(self) -> int:
        return len(self.class_masks)

    def __getitem__(self, index: int) -> Record:
        classes, numbers = self.class_masks[index], self.object_masks[index]
        image = read_image(classes.image, self.options, notes=[])
        size = image.shape[:2]
        label = fit_to_image(self.coding(classes.label), size, classes, self.options, self.tolerance)
        found = fit_to_image(read_numbers(numbers.label), size, numbers, self.options, self.tolerance)
        objects = objects_of(found, label)
        if self.as_semantic:
            return Record(classes.name, image, to_label_map(objects, label.shape))
        return Record(classes.name, image, None, objects)


def read_numbers(path: Path) -> np.ndarray:
    """Reads the numbers of objects, int32 ``[h, w]``: 0 on the background and on borders."""
    mask = read_mask(path)
    numbers = mask.values.astype(np.int32)
    return np.where(np.isin(numbers, _border_values(mask.kind)), 0, numbers)


def _border_values(kind: str) -> tuple[int, ...]:
    """Returns the values of borders in a mask of a kind, see ``masks.reading.Mask``."""
    return (VOC_BORDER, 0xFFFFFF) if kind == "color" else (IGNORE,)


def count_objects(summary: MaskSummary) -> int:
    """Returns the number of objects in a mask of ``SegmentationObject``."""
    return sum(value > 0 and value not in _border_values(summary.kind) for value in summary.values)


def objects_of(numbers: np.ndarray, label: np.ndarray) -> Objects:
    """Returns the objects of a map of object numbers ``[h, w]`` and a label map ``[h, w]``.

    Example:
      >>> objects_of(np.array([[0, 1, 2]]), np.array([[0, 3, 1]], np.uint8)).classes.tolist()
      [3, 1]
    """
    masks, classes = [], []
    for number in np.unique(numbers[numbers > 0]):
        mask = numbers == number
        counts = np.bincount(label[mask], minlength=IGNORE + 1)
        counts[[0, IGNORE]] = 0
        if counts.any():
            masks.append(mask.astype(np.uint8))
            classes.append(int(counts.argmax()))
    stacked = np.stack(masks) if masks else np.zeros((0, *numbers.shape), np.uint8)
    return Objects(boxes_of_masks(stacked), np.array(classes, np.int32), stacked, np.zeros(len(masks), bool))

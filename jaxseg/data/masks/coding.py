"""The meaning of the values in mask files, and how a file becomes class numbers by it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxseg.data.images import printable
from jaxseg.data.masks.reading import Mask, code_color, color_code, read_mask
from jaxseg.data.masks.scan import MaskSummary
from jaxseg.types import IGNORE

GRAY = 0x010101  # times a gray value is the code of its color
DARK, LIGHT, HALF, WHITE, DEEP_WHITE = 32, 223, 128, 255, 65535


class Coding(NamedTuple):
    """The meaning of values in mask files. Calling it reads a file as a label map.

    Attributes:
      by_color: values are color codes, whether a file has colors, a palette or gray values.
      bit: the gray value of a set bit in files of one bit.
      threshold: values from 128 are class 1, and others class 0.
      keys: the values that have a meaning, rising.
      classes: the meaning of each: a class or ``IGNORE``.
    """

    by_color: bool
    bit: int
    threshold: bool
    keys: tuple[int, ...]
    classes: tuple[int, ...]

    def __call__(self, path: Path) -> np.ndarray:
        """Reads a mask file as class numbers, uint8 ``[h, w]``.

        Raises:
          ValueError: the file cannot be read, or has a value without a meaning.
        """
        return self.to_label(read_mask(path), printable(path))

    def to_label(self, mask: Mask, name: str) -> np.ndarray:
        """Returns the class numbers of a mask, uint8 ``[h, w]``; ``name`` stands for the file in messages."""
        values = self._values(mask)
        if self.threshold:
            return (values >= HALF * (GRAY if self.by_color else 1)).astype(np.uint8)
        keys, classes = np.array(self.keys), np.array(self.classes, np.uint8)
        places = _places(keys, values)
        if (keys[places] != values).any():
            unknown = int(values[keys[places] != values][0])
            known = ", ".join(format_value(key, self.by_color) for key in self.keys)
            raise ValueError(f"{name} has the value {format_value(unknown, self.by_color)}; expected only {known}")
        return classes[places]

    def class_of(self, key: int) -> int:
        """Returns the meaning of one value, ``IGNORE`` for a value without one."""
        if self.threshold:
            return int(key >= HALF * (GRAY if self.by_color else 1))
        return self.classes[self.keys.index(key)] if key in self.keys else IGNORE

    def _values(self, mask: Mask) -> np.ndarray:
        if mask.kind == "bits":
            return mask.values.astype(np.int32) * (self.bit * (GRAY if self.by_color else 1))
        if not self.by_color or mask.kind == "color":
            return mask.values
        return color_code(mask.palette)[mask.values] if mask.kind == "indexed" else mask.values.astype(np.int32) * GRAY


def keys_of(summary: MaskSummary, coding: Coding) -> tuple[int, ...]:
    """Returns the values of a summary as the coding has them."""
    return coded_values(summary, coding.by_color, coding.bit)


def coded_values(summary: MaskSummary, by_color: bool, bit: int) -> tuple[int, ...]:
    factor = GRAY if by_color else 1
    if summary.kind == "bits":
        return tuple(value * bit * factor for value in summary.values)
    if by_color and summary.kind == "indexed":
        return summary.colors
    return tuple(value * factor for value in summary.values) if summary.kind == "gray" else summary.values


def _places(keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the place of each value in the rising ``keys``; values without a place get any."""
    if values.dtype != np.uint8:
        return np.searchsorted(keys, values).clip(max=len(keys) - 1)
    table = np.zeros(256, np.intp)
    table[keys[keys < 256]] = np.flatnonzero(keys < 256)
    return table[values]


def format_value(key: int, by_color: bool) -> str:
    return " ".join(map(str, code_color(key))) if by_color else str(key)

"""What the masks of a data set mean, and the values from which that is decided."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxseg.data.coco.classes import distinct_colors
from jaxseg.data.masks.coding import Coding
from jaxseg.types import IGNORE

MOST_CLASSES = 32  # more colors or numbers than that need a list of classes
Colors = Mapping[int, tuple[int, int, int]]  # by value
CAUSE = (
    "They look resized with interpolation, feathered, or saved as JPEG. Save the masks as PNG, resize them by nearest "
    "neighbor, or list all values in classes.txt"
)


class Decision(NamedTuple):
    """What the masks of a data set mean.

    Attributes:
      coding: from files to class numbers.
      class_names: one per class.
      palette: uint8 ``[k, 3]``.
    """

    coding: Coding
    class_names: tuple[str, ...]
    palette: np.ndarray


class Values(NamedTuple):
    """The values of all masks of a data set, in one coding."""

    counts: Counter
    inner: Counter
    first: dict[int, Path]
    by_color: bool
    bit: int
    is_lossy: bool
    is_indexed: bool
    scale: int = 1  # what a number is multiplied by to be a key


def make_decision(
    found: Values,
    table: dict[int, int],
    names: tuple[str, ...],
    colors: Colors,
    threshold: bool = False,
) -> Decision:
    """Puts a decision together; ``colors`` are by value, and classes without one get a generated color."""
    keys = sorted(table)
    coding = Coding(
        found.by_color,
        found.bit,
        threshold,
        tuple(key * found.scale for key in keys),
        tuple(table[key] for key in keys),
    )
    palette = np.concatenate([np.zeros((1, 3), np.uint8), distinct_colors(max(1, len(names) - 1))])
    for value, number in table.items():
        if value in colors and number != IGNORE:
            palette[number] = colors[value]
    return Decision(coding, names, palette[: len(names)])

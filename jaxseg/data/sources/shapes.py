"""Shapes: discs, squares and triangles on a textured ground, each image generated from its index alone.

No files and no download: the data set of the quick start and of the tests, for semantic and for instance tasks.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import ml_collections
import numpy as np

from jaxseg.data.colors import distinct_colors
from jaxseg.data.geometry import boxes_of_masks
from jaxseg.types import Catalogue, Objects, Record, Source

CLASS_NAMES = ("background", "disc", "square", "triangle")
PALETTE = np.concatenate([np.zeros((1, 3), np.uint8), distinct_colors(3)])
SIZE = 160  # pixels, both sides
SPLITS = {"train": 2000, "val": 200, "test": 200}
MOST_OBJECTS = 6
LEAST_VISIBLE = 0.4  # of an object's area
VERSION = 2  # changes whenever the images do, so that nothing kept of older ones is taken for new


def open_split(data_config: ml_collections.ConfigDict, split: str) -> Source:
    """Opens the source ``shapes``; its images have SIZE x SIZE pixels, its splits no image in common."""
    del data_config  # there is nothing to choose
    if split not in SPLITS:
        raise ValueError(f"the data set shapes has no split {split!r}; expected one of {', '.join(SPLITS)}")
    count = SPLITS[split]
    sizes, counts = np.full((count, 2), SIZE, np.int32), np.full(count, MOST_OBJECTS, np.int32)
    catalogue = Catalogue(sizes, counts, range(count), range(len(CLASS_NAMES)))
    return Source(ShapesRecords(split), CLASS_NAMES, PALETTE, f"shapes {VERSION} {split}", catalogue)


class ShapesRecords(Sequence):
    """The images of one split: ``records[i]`` is the same picture in any process."""

    def __init__(self, split: str):
        self.split = split

    def __len__(self) -> int:
        return SPLITS[self.split]

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < len(self):
            raise IndexError(f"shapes has {len(self)} images in {self.split}; no image {index}")
        rng = np.random.default_rng([list(SPLITS).index(self.split), index])
        image, label, objects = draw_shapes(rng)
        return Record(f"{self.split}_{index:05d}", image, label, objects)


class Shape(NamedTuple):
    """One object: ``polygon`` holds its corners ``[n, 2]`` as (x, y), or None for a disc."""

    class_number: int
    center: tuple[int, int]
    radius: int
    polygon: np.ndarray | None
    color: np.ndarray


def draw_shapes(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, Objects]:
    """Draws one picture: image ``[h, w, 3]``, label ``[h, w]`` and 1 to MOST_OBJECTS objects, later ones in front."""
    image = _ground(rng)
    owner = np.zeros((SIZE, SIZE), np.uint8)  # the number, from 1, of the object that is visible at each pixel
    classes, areas = [0], [1]  # the ground is number 0
    for _ in range(rng.integers(1, MOST_OBJECTS + 1)):
        shape, mask = _place(rng, owner, areas)
        if shape is None:
            break
        classes.append(shape.class_number)
        areas.append(np.count_nonzero(mask))
        cv2.copyTo(np.full_like(owner, len(areas) - 1), mask, owner)
        cv2.copyTo(_surface(rng, shape.color), mask, image)
    masks = (owner == np.arange(1, len(areas), dtype=np.uint8)[:, None, None]).astype(np.uint8)
    classes = np.array(classes, np.int32)
    objects = Objects(boxes_of_masks(masks), classes[1:], masks, np.zeros(len(masks), bool))
    noise = rng.integers(0, 24, (SIZE, SIZE, 3), np.uint8)
    image = cv2.subtract(cv2.add(image, noise), (12, 12, 12, 0))
    return image, classes.astype(np.uint8)[owner], objects


def _place(rng: np.random.Generator, owner: np.ndarray, areas: list[int]) -> tuple[Shape | None, np.ndarray]:
    """Draws shapes until one leaves at least LEAST_VISIBLE of every object in sight; None where there is no room."""
    for _ in range(20):
        shape = _shape(rng)
        mask = _mask(shape)
        visible = np.bincount(owner[mask == 0], minlength=len(areas))
        if all(visible[number] >= LEAST_VISIBLE * areas[number] for number in range(1, len(areas))):
            return shape, mask
    return None, np.zeros_like(owner)


def _shape(rng: np.random.Generator) -> Shape:
    class_number = int(rng.integers(1, len(CLASS_NAMES)))
    radius = int(rng.integers(SIZE // 12, SIZE // 6))
    center = tuple(int(c) for c in rng.integers(radius, SIZE - radius, 2))
    first = rng.uniform(0, 2 * math.pi)
    corners = {"disc": 0, "square": 4, "triangle": 3}[CLASS_NAMES[class_number]]
    angles = first + 2 * math.pi * np.arange(corners) / max(corners, 1)
    polygon = np.rint(np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius + center).astype(np.int32)
    return Shape(class_number, center, radius, polygon if corners else None, _bright_color(rng))


def _mask(shape: Shape) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    if shape.polygon is None:
        return cv2.circle(mask, shape.center, shape.radius, 1, cv2.FILLED)
    return cv2.fillConvexPoly(mask, shape.polygon, 1)


def _bright_color(rng: np.random.Generator) -> np.ndarray:
    """Returns a saturated color of any hue, ``[3]``; the ground is dull, so that objects can be told from it."""
    hsv = np.array([[[rng.integers(0, 180), rng.integers(140, 256), rng.integers(150, 256)]]], np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]


def _surface(rng: np.random.Generator, color: np.ndarray) -> np.ndarray:
    """Returns ``[h, w, 3]`` of one color, lighter towards one side."""
    ends = np.clip(color * rng.uniform(0.75, 1.25, (4, 1)), 0, 255).astype(np.uint8).reshape(2, 2, 3)
    return _enlarge(ends)


def _ground(rng: np.random.Generator) -> np.ndarray:
    """Returns a dull, blotched ground: coarse gray and fine colored noise, ``[h, w, 3]``."""
    cells = int(rng.integers(3, 17))
    gray = rng.integers(40, 200, (cells, cells, 1), np.uint8)
    tint = rng.integers(0, 40, (cells, cells, 3), np.uint8)
    return _enlarge(gray + tint)


def _enlarge(cells: np.ndarray) -> np.ndarray:
    # The exact variant gives the same bits on every processor.
    return cv2.resize(cells, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR_EXACT)

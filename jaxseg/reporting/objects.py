"""Objects drawn into photographs: translucent masks, outlines, boxes and names."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from jaxseg.reporting.text import ink_on, text_size, write_text

LEAST_LETTERS = 12  # pixels, height of the letters of a title


class Annotations(NamedTuple):
    """Objects to draw into an image, the most important first: it is drawn last.

    Attributes:
      masks: d masks, bool ``[h, w]`` each.
      boxes: ``[d, 4]``.
      titles: d short texts.
      colors: uint8 ``[d, 3]``.
      classes: d class numbers; () where they do not matter.
    """

    masks: Sequence[np.ndarray]
    boxes: np.ndarray
    titles: list[str]
    colors: np.ndarray
    classes: Sequence[int] = ()


class Plate(NamedTuple):
    """Rectangle of a title, in pixels, and the height of its letters."""

    left: int
    top: int
    width: int
    height: int
    size: int


def draw_objects(image: np.ndarray, annotations: Annotations, opacity: float = 0.45) -> np.ndarray:
    """Returns a copy of the image, uint8 ``[h, w, 3]``, with masks, outlines, boxes and titles."""
    canvas = image.copy()
    thickness = max(1, round(min(image.shape[:2]) / 300))
    backwards = range(len(annotations.titles) - 1, -1, -1)
    for i in backwards:
        mask, color = annotations.masks[i], annotations.colors[i]
        canvas[mask] = np.rint(canvas[mask] * (1 - opacity) + color * opacity).astype(np.uint8)
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, outlines, -1, color.tolist(), thickness)
    for i in backwards:
        x1, y1, x2, y2 = (round(float(side)) for side in annotations.boxes[i])
        cv2.rectangle(canvas, (x1, y1), (x2, y2), annotations.colors[i].tolist(), thickness, cv2.LINE_AA)
    # Titles come last, so that no line crosses them.
    plates = place_titles(annotations, image.shape[:2])
    for i in backwards:
        _write_title(canvas, annotations.titles[i], plates[i], annotations.colors[i])
    return canvas


def place_titles(annotations: Annotations, size: tuple[int, int]) -> list[Plate]:
    """Returns a plate per title at its box in an image of ``size``, off those of more important titles if possible.

    The places tried are, in order: at the upper left corner of the box, above it or within; at the lower left corner,
    below it or within; farther above or below; the same on the right.
    """
    letters = max(LEAST_LETTERS, round(min(size) / 40))
    taken = np.zeros(size, bool)
    plates = []
    for title, (x1, y1, x2, y2) in zip(
        annotations.titles, np.rint(annotations.boxes).astype(int).tolist(), strict=True
    ):
        width, height = text_size(title, letters)
        width += 4
        tops, lefts = (y1 - height, y1, y2, y2 - height, y1 - 2 * height, y2 + height), (x1, x2 - width)
        places = [
            Plate(min(max(left, 0), max(size[1] - width, 0)), top, width, height, letters)
            for left in lefts
            for top in tops
            if 0 <= top <= size[0] - height
        ] or [Plate(0, 0, width, height, letters)]
        plates.append(next((place for place in places if not taken[area_of(place)].any()), places[0]))
        taken[area_of(plates[-1])] = True
    return plates


def area_of(plate: Plate) -> tuple[slice, slice]:
    """Returns the rows and columns of a plate."""
    return np.s_[plate.top : plate.top + plate.height, plate.left : plate.left + plate.width]


def _write_title(canvas: np.ndarray, title: str, plate: Plate, color: np.ndarray) -> None:
    canvas[area_of(plate)] = color
    write_text(canvas, title, (plate.left + 2, plate.top), plate.size, ink_on(color))

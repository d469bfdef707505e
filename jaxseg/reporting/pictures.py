"""Arrays into pictures that people look at: overlays, rows of examples."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from jaxseg.types import IGNORE

IGNORED_COLOR = (224, 224, 224)
VISIBLE = 128  # pixels; smaller images are enlarged
LEGIBLE = 320  # pixels; smaller images are enlarged before names are written into them
LARGEST = 640  # pixels; larger ones are reduced, of which several are shown side by side
GAP = 4  # pixels between panels
FONT = cv2.FONT_HERSHEY_SIMPLEX


def colored(label: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """A label map ``[h, w]`` in its classes' colors, uint8 ``[h, w, 3]``; ignored pixels are light gray."""
    table = np.full((256, 3), IGNORED_COLOR, np.uint8)
    table[: len(palette)] = palette
    table[IGNORE] = IGNORED_COLOR
    return table[label.astype(np.uint8)]


def overlay(image: np.ndarray, label: np.ndarray, palette: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """The image ``[h, w, 3]`` under the translucent colors of its label map ``[h, w]``, with the classes outlined."""
    blend = np.rint(image * (1 - opacity) + colored(label, palette) * opacity).astype(np.uint8)
    border = np.zeros(label.shape, bool)
    border[:, 1:] |= label[:, 1:] != label[:, :-1]
    border[1:] |= label[1:] != label[:-1]
    blend[border] = 255
    return blend


class Annotations(NamedTuple):
    """Objects as they are drawn into an image, the most important first: it is drawn last.

    Attributes:
      masks: d of them, bool ``[h, w]`` each.
      boxes: ``[d, 4]``.
      titles: d short texts.
      colors: uint8 ``[d, 3]``.
    """

    masks: Sequence[np.ndarray]
    boxes: np.ndarray
    titles: list[str]
    colors: np.ndarray


def instances(image: np.ndarray, shown: Annotations) -> np.ndarray:
    """The image, uint8 ``[h, w, 3]``, with objects: translucent masks, outlines, boxes and what is written at them."""
    canvas = image.copy()
    thickness = max(1, round(min(image.shape[:2]) / 300))
    backwards = range(len(shown.titles) - 1, -1, -1)
    for i in backwards:
        mask, color = shown.masks[i], shown.colors[i]
        canvas[mask] = np.rint(canvas[mask] * 0.55 + color * 0.45).astype(np.uint8)
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, outlines, -1, color.tolist(), thickness)
    for i in backwards:
        x1, y1, x2, y2 = (round(float(side)) for side in shown.boxes[i])
        cv2.rectangle(canvas, (x1, y1), (x2, y2), shown.colors[i].tolist(), thickness, cv2.LINE_AA)
    # At the end, so that no line crosses what is written.
    plates = _plates(shown, image.shape[:2])
    for i in backwards:
        _write_title(canvas, shown.titles[i], plates[i], shown.colors[i])
    return canvas


class Plate(NamedTuple):
    """Where a title is written: its rectangle, and the size of its letters."""

    left: int
    top: int
    width: int
    height: int
    scale: float


def _plates(shown: Annotations, size: tuple[int, int]) -> list[Plate]:
    """A plate for each title in an image of ``size``, at its box, and off those of more important ones if that can be.

    At the upper left corner of a box, above it or within; at the lower left one, below or within; farther above or
    below; then on the right.
    """
    scale = max(0.4, min(size) / 900)
    taken = np.zeros(size, bool)
    plates = []
    for title, (x1, y1, x2, y2) in zip(shown.titles, np.rint(shown.boxes).astype(int).tolist(), strict=True):
        (width, height), base = cv2.getTextSize(title, FONT, scale, _stroke(scale))
        width, height = width + 4, height + base + 2
        tops, lefts = (y1 - height, y1, y2, y2 - height, y1 - 2 * height, y2 + height), (x1, x2 - width)
        places = [
            Plate(min(max(left, 0), max(size[1] - width, 0)), top, width, height, scale)
            for left in lefts
            for top in tops
            if 0 <= top <= size[0] - height
        ] or [Plate(0, 0, width, height, scale)]
        plates.append(next((place for place in places if not taken[_area(place)].any()), places[0]))
        taken[_area(plates[-1])] = True
    return plates


def _area(plate: Plate) -> tuple[slice, slice]:
    return np.s_[plate.top : plate.top + plate.height, plate.left : plate.left + plate.width]


def _stroke(scale: float) -> int:
    """The thickness of letters of a size."""
    return max(1, round(1.6 * scale))


def _write_title(canvas: np.ndarray, title: str, plate: Plate, color: np.ndarray) -> None:
    canvas[_area(plate)] = color
    dark = float(color @ np.array([0.299, 0.587, 0.114])) > 140
    ink = (0, 0, 0) if dark else (255, 255, 255)
    _, base = cv2.getTextSize(title, FONT, plate.scale, _stroke(plate.scale))
    corner = plate.left + 2, plate.top + plate.height - base
    cv2.putText(canvas, title, corner, FONT, plate.scale, ink, _stroke(plate.scale), cv2.LINE_AA)


def rows(images: np.ndarray, labels: np.ndarray, predictions: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """One row an image: the image, the truth, the prediction; uint8 ``[h, w, 3]``. Small images are enlarged.

    Args:
      images: uint8 ``[b, h, w, 3]``.
      labels: ``[b, h, w]``.
      predictions: ``[b, h', w']``; a model of valid convolutions predicts the middle, and is shown there.
      palette: uint8 ``[k, 3]``.
    """
    times = -(-VISIBLE // min(images.shape[1:3]))

    def row(image: np.ndarray, label: np.ndarray, prediction: np.ndarray) -> list[np.ndarray]:
        panels = image, colored(label, palette), colored(_centered(prediction, label.shape), palette)
        return [panel.repeat(times, axis=0).repeat(times, axis=1) for panel in panels]

    return _grid(list(map(row, images, labels, predictions)))


def instance_rows(examples: Sequence[tuple[np.ndarray, Annotations, Annotations]]) -> np.ndarray:
    """One row an image: the image, its objects, what was found; uint8 ``[h, w, 3]``.

    Small images are enlarged until names can be read, large ones reduced until a row fits a screen.
    """
    return _grid([_instance_row(*example) for example in examples])


def _instance_row(image: np.ndarray, truth: Annotations, found: Annotations) -> tuple[np.ndarray, ...]:
    times = max(1, -(-LEGIBLE // min(image.shape[:2])))
    factor = min(times, LARGEST / max(image.shape[:2]))
    size = tuple(max(1, round(side * factor)) for side in image.shape[1::-1])

    def resized(mask: np.ndarray) -> np.ndarray:
        return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) != 0

    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST)
    return image, *(
        instances(image, one._replace(masks=list(map(resized, one.masks)), boxes=one.boxes * factor))
        for one in (truth, found)
    )


def _grid(lines: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Lines of panels with white between them, and on the right of lines that are shorter."""
    lines = [
        np.concatenate([np.pad(panel, ((GAP, 0), (GAP, 0), (0, 0)), constant_values=255) for panel in panels], axis=1)
        for panels in lines
    ]
    width = max(line.shape[1] for line in lines) + GAP
    lines = [np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0)), constant_values=255) for line in lines]
    return np.pad(np.concatenate(lines), ((0, GAP), (0, 0), (0, 0)), constant_values=255)


def _centered(prediction: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    whole = np.full(shape, IGNORE, np.uint8)
    top, left = ((side - inner) // 2 for side, inner in zip(shape, prediction.shape, strict=True))
    whole[top : top + prediction.shape[0], left : left + prediction.shape[1]] = prediction
    return whole


def write(path: pathlib.Path, image: np.ndarray) -> None:
    """Writes uint8 ``[h, w, 3]`` as a PNG or JPEG, as the ending says."""
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def write_mask(path: pathlib.Path, label: np.ndarray, palette: np.ndarray) -> None:
    """Writes a label map ``[h, w]`` as an indexed PNG: its pixels are class numbers, shown in the palette's colors."""
    picture = Image.fromarray(label.astype(np.uint8), mode="P")
    picture.putpalette(np.asarray(palette, np.uint8).tobytes())
    picture.save(path)

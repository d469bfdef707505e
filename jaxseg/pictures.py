"""Arrays into pictures that people look at: overlays, rows of examples, curves."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from jaxseg.types import IGNORE

IGNORED_COLOR = (224, 224, 224)
LEGIBLE = 320  # pixels; smaller images are enlarged before names are written into them
GAP = 4  # pixels between panels
CURVES = ("pixel_accuracy", "mean_pixel_accuracy", "mean_iou", "box_ap", "box_ap50", "mask_ap", "mask_ap50")


def colored(label: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """A label map ``[h, w]`` in its classes' colours, uint8 ``[h, w, 3]``; ignored pixels are light grey."""
    table = np.full((256, 3), IGNORED_COLOR, np.uint8)
    table[: len(palette)] = palette
    table[IGNORE] = IGNORED_COLOR
    return table[label.astype(np.uint8)]


def overlay(image: np.ndarray, label: np.ndarray, palette: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """The image ``[h, w, 3]`` under the translucent colours of its label map ``[h, w]``, with the classes outlined."""
    blend = np.rint(image * (1 - opacity) + colored(label, palette) * opacity).astype(np.uint8)
    border = np.zeros(label.shape, bool)
    border[:, 1:] |= label[:, 1:] != label[:, :-1]
    border[1:] |= label[1:] != label[:-1]
    blend[border] = 255
    return blend


class Shown(NamedTuple):
    """Objects as they are drawn into an image, the most important first: it is drawn last.

    Attributes:
      masks: bool ``[d, h, w]``.
      boxes: ``[d, 4]``.
      titles: d short texts.
      colors: uint8 ``[d, 3]``.
    """

    masks: np.ndarray
    boxes: np.ndarray
    titles: list[str]
    colors: np.ndarray


def instances(image: np.ndarray, shown: Shown) -> np.ndarray:
    """The image, uint8 ``[h, w, 3]``, with objects: translucent masks, outlines, boxes and what is written at them."""
    masks, boxes, titles, colors = shown
    canvas = image.copy()
    thickness = max(1, round(min(image.shape[:2]) / 300))
    for mask, color in zip(masks[::-1], colors[::-1], strict=True):
        canvas[mask] = np.rint(canvas[mask] * 0.55 + color * 0.45).astype(np.uint8)
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, outlines, -1, color.tolist(), thickness)
    for box, title, color in zip(boxes[::-1], titles[::-1], colors[::-1], strict=True):
        x1, y1, x2, y2 = (round(float(side)) for side in box)
        cv2.rectangle(canvas, (x1, y1), (x2, y2), color.tolist(), thickness, cv2.LINE_AA)
        _write_title(canvas, title, (x1, y1), color, thickness)
    return canvas


def _write_title(canvas: np.ndarray, title: str, corner: tuple[int, int], color: np.ndarray, thickness: int) -> None:
    """Writes above a corner, or below it where there is no room, on a plate in the object's colour."""
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.4 * max(1.0, thickness * 0.8)
    (width, height), base = cv2.getTextSize(title, font, scale, thickness)
    left = min(max(corner[0], 0), max(canvas.shape[1] - width - 2, 0))
    bottom = corner[1] if corner[1] >= height + base else corner[1] + height + base
    cv2.rectangle(canvas, (left, bottom - height - base), (left + width + 2, bottom), color.tolist(), cv2.FILLED)
    dark = float(color @ np.array([0.299, 0.587, 0.114])) > 140
    ink = (0, 0, 0) if dark else (255, 255, 255)
    cv2.putText(canvas, title, (left + 1, bottom - base + 1), font, scale, ink, thickness, cv2.LINE_AA)


def rows(images: np.ndarray, labels: np.ndarray, predictions: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """One row an image: the image, the truth, the prediction; uint8 ``[h, w, 3]``.

    Args:
      images: uint8 ``[b, h, w, 3]``.
      labels: ``[b, h, w]``.
      predictions: ``[b, h', w']``; a model of valid convolutions predicts the middle, and is shown there.
      palette: uint8 ``[k, 3]``.
    """
    return _grid(
        [
            (image, colored(label, palette), colored(_centered(prediction, label.shape), palette))
            for image, label, prediction in zip(images, labels, predictions, strict=True)
        ]
    )


def instance_rows(examples: Sequence[tuple[np.ndarray, Shown, Shown]]) -> np.ndarray:
    """One row an image: the image, its objects, what was found; uint8 ``[h, w, 3]``. Small images are enlarged."""
    return _grid([_instance_row(*example) for example in examples])


def _instance_row(image: np.ndarray, truth: Shown, found: Shown) -> tuple[np.ndarray, ...]:
    times = -(-LEGIBLE // min(image.shape[:2]))

    def enlarged(array: np.ndarray) -> np.ndarray:
        return array.repeat(times, axis=-2).repeat(times, axis=-1)

    image = image.repeat(times, axis=0).repeat(times, axis=1)
    return image, *(
        instances(image, one._replace(masks=enlarged(one.masks), boxes=one.boxes * times)) for one in (truth, found)
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
    """Writes a label map ``[h, w]`` as an indexed PNG: its pixels are class numbers, shown in the palette's colours."""
    picture = Image.fromarray(label.astype(np.uint8), mode="P")
    picture.putpalette(np.asarray(palette, np.uint8).tobytes())
    picture.save(path)


def draw_curves(path: pathlib.Path, lines: list[dict]) -> None:
    """Draws the lines of a metrics.jsonl: the losses, and the scores if there are any."""
    # Matplotlib takes long to import, and nothing but this needs it.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    train = [(line["step"], line["loss"]) for line in lines if line["split"] == "train"]
    losses.plot(*zip(*train, strict=True), color="0.75", linewidth=0.8, label="train, each step")
    losses.plot(*_smoothed(train), color="C0", label="train, mean")
    panels = ((losses, ("loss",)), (scores, CURVES))
    for split, style in (("val", "o-"), ("test", "s")):
        for axes, names in panels:
            for color, name in enumerate(names, start=1):
                points = [(line["step"], line.get(name)) for line in lines if line["split"] == split]
                points = [point for point in points if point[1] is not None]
                if points:
                    label = f"{split}, {name.replace('_', ' ')}"
                    axes.plot(*zip(*points, strict=True), style, color=f"C{color}", markersize=4, label=label)
    losses.set(xlabel="step", ylabel="loss", ylim=(0, None))
    scores.set(xlabel="step", ylabel="score", ylim=(0, 1))
    for axes in (losses, scores):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


def _smoothed(points: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    """The means of about fifty consecutive stretches."""
    stretches = np.array_split(np.asarray(points, np.float64), min(50, len(points)))
    means = np.stack([stretch.mean(axis=0) for stretch in stretches])
    return means[:, 0], means[:, 1]

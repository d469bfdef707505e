"""A class for every pixel of one image, in the image's own pixels."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from jaxseg.data.coco import rle
from jaxseg.inference.result import ImageResult
from jaxseg.reporting import pictures
from jaxseg.reporting.panels import add_legend

MOST_NAMED = 8  # Classes in the summary of a result.
OVERLAY_PIXELS = 1 << 22  # Pixels of an overlay that are drawn at once, which bounds the memory for huge images.


@dataclasses.dataclass(frozen=True, repr=False)
class SemanticResult(ImageResult):
    """A class for every pixel of one image.

    Attributes:
      image: uint8 ``[h, w, 3]``.
      mask: uint8 ``[h, w]``, the class of each pixel: ``class_names[mask[y, x]]``.
      class_names: a name per class.
      palette: uint8 ``[k, 3]``, a color per class.
      category_ids: the number of each class in results files; () numbers them from 0.
      path: the file that the image came from; None for an array.
      confidence: uint8 ``[h, w]``, the largest softmax probability times 255; None unless it was asked for.
      probabilities: uint16 ``[h, w, k]``, softmax probabilities times 65535; None unless they were asked for.
    """

    image: np.ndarray
    mask: np.ndarray
    class_names: tuple[str, ...]
    palette: np.ndarray
    category_ids: Sequence[int] = ()
    path: str | None = None
    confidence: np.ndarray | None = None
    probabilities: np.ndarray | None = None

    @property
    def areas(self) -> np.ndarray:
        """Returns the number of pixels of each class, ``[k]``."""
        return _bincount(self.mask, len(self.class_names))

    @property
    def class_ids(self) -> np.ndarray:
        """Returns the classes in the mask, ascending, ``[n]``."""
        return np.flatnonzero(self.areas)

    @property
    def masks(self) -> np.ndarray:
        """Returns a mask per class in ``class_ids``, bool ``[n, h, w]``."""
        return self.mask[None] == self.class_ids[:, None, None].astype(self.mask.dtype)

    @property
    def boxes(self) -> np.ndarray:
        """Returns the box around the pixels of each class in ``class_ids``, float32 ``[n, 4]``."""
        boxes = [cv2.boundingRect((self.mask == number).astype(np.uint8)) for number in self.class_ids]
        return np.array([(x, y, x + w, y + h) for x, y, w, h in boxes], np.float32).reshape(-1, 4)

    @property
    def scores(self) -> np.ndarray | None:
        """Returns the mean confidence of each class in ``class_ids``, ``[n]``; None without ``confidence``."""
        if self.confidence is None:
            return None
        return np.array([self.confidence[self.mask == number].mean() / 255 for number in self.class_ids], np.float32)

    @property
    def mask_palette(self) -> np.ndarray:
        """Returns the colors of a mask file, uint8 ``[k, 3]``."""
        return self.palette

    @property
    def summary(self) -> str:
        """Returns the classes in the mask with their shares, largest first, for the console."""
        areas = self.areas
        found = [number for number in np.argsort(-areas, kind="stable") if areas[number]]
        more = [f"{len(found) - MOST_NAMED} more"] if len(found) > MOST_NAMED else []
        named = [f"{self.class_names[number]} {areas[number] / self.mask.size:.1%}" for number in found[:MOST_NAMED]]
        return ", ".join(named + more)

    def overlay(self) -> np.ndarray:
        """Draws the classes over the image, uint8 ``[h, w, 3]``."""
        background = pictures.background_classes(self.class_names)
        canvas = np.empty_like(self.image)
        height, width = self.size
        rows = max(OVERLAY_PIXELS // max(width, 1), 1)
        for top in range(0, height, rows):
            first, last = max(top - 2, 0), min(top + rows + 2, height)  # The rows around show where regions end.
            part = pictures.overlay(self.image[first:last], self.mask[first:last], self.palette, background=background)
            bottom = min(top + rows, height)
            canvas[top:bottom] = part[top - first : bottom - first]
        return canvas

    def picture(self) -> np.ndarray:
        """Draws the overlay with a legend of the classes and their shares below, uint8 ``[h', w, 3]``."""
        areas = self.areas
        numbers = [int(number) for number in np.argsort(-areas, kind="stable") if areas[number]]
        entries = [f"{self.class_names[number]} {areas[number] / self.mask.size:.1%}" for number in numbers]
        return add_legend(self.overlay(), entries, list(np.asarray(self.palette)[numbers]))

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """Returns an entry of a COCO results file per class in the mask, with a run-length mask."""
        ids = self._ids()
        return [
            {
                "image_id": image_id,
                "category_id": ids[number],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": int(self.areas[number]),
                "segmentation": rle.encode_within(self.mask == number, (0, 0), self.size),
            }
            for number, (x1, y1, x2, y2) in zip(self.class_ids, self.boxes.tolist(), strict=True)
        ]

    def entries(self) -> list[dict[str, Any]]:
        """Returns the image's entries in ``predictions.json``: one, with the area and share of each class."""
        classes = [
            {"id": number, "name": name, "area": int(area), "share": int(area) / max(self.mask.size, 1)}
            for number, name, area in zip(self._ids(), self.class_names, self.areas, strict=True)
        ]
        return [{"height": self.size[0], "width": self.size[1], "classes": classes}]

    def _ids(self) -> list[int]:
        return [int(number) for number in self.category_ids or range(len(self.class_names))]

    def __repr__(self) -> str:
        return f"SemanticResult({self.size[1]}x{self.size[0]}: {self.summary})"


def _bincount(mask: np.ndarray, classes: int, rows: int = 1024) -> np.ndarray:
    """Counts the pixels of each class, some rows at a time: ``bincount`` makes 8 bytes of each pixel."""
    parts = [mask[top : top + rows].ravel() for top in range(0, len(mask), rows)]
    return sum((np.bincount(part, minlength=classes) for part in parts), np.zeros(classes, np.int64))

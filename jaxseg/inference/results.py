"""What a predictor returns for one image, in the image's own pixels.

Both kinds of result have ``image``, ``mask``, ``class_ids``, ``class_names``, ``boxes``, ``masks`` and ``scores``. Both
can draw themselves, save themselves and turn themselves into COCO results.

    >>> import numpy as np
    >>> from jaxseg.inference import SemanticResult
    >>> image, mask = np.zeros((2, 4, 3), np.uint8), np.array([[0, 0, 1, 1], [0, 0, 0, 1]], np.uint8)
    >>> result = SemanticResult(image, mask, ("background", "cat"), np.array([[0, 0, 0], [255, 0, 0]], np.uint8))
    >>> result.summary
    'background 62.5%, cat 37.5%'
    >>> result.boxes.tolist()
    [[0.0, 0.0, 3.0, 2.0], [2.0, 0.0, 4.0, 2.0]]
    >>> result.overlay().shape
    (2, 4, 3)
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image

from jaxseg.data.coco import rle
from jaxseg.data.colors import distinct_colors
from jaxseg.inference.files import write_image, write_mask
from jaxseg.metrics.detections import paste_mask, to_coco_results
from jaxseg.models.mask_rcnn.detections import Instances
from jaxseg.reporting import pictures
from jaxseg.reporting.panels import add_legend

SHOWN_SCORE = 0.5  # Detections with a lower score are in the results, but are not drawn.
MOST_SHOWN = 255  # A pixel of a mask file can tell 255 objects apart; 0 is the background.
NOTEBOOK_SIDE = 1024  # Longer side of the picture in a notebook, in pixels.
OVERLAY_PIXELS = 1 << 22  # Pixels of an overlay that are drawn at once, which bounds the memory for huge images.


class _Result:
    """What both kinds of result can do; subclasses draw and list themselves."""

    image: np.ndarray
    mask: np.ndarray
    path: str | None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.image.shape[:2]

    @property
    def name(self) -> str:
        """The stem of the image's file, or "image" for an array."""
        return pathlib.Path(self.path).stem if self.path else "image"

    def overlay(self) -> np.ndarray:
        """Draws the result over the image, uint8 ``[h, w, 3]``."""
        raise NotImplementedError

    def picture(self) -> np.ndarray:
        """Draws the overlay as people are shown it, which may have a legend below, uint8 ``[h', w, 3]``."""
        return self.overlay()

    def show(self) -> None:
        """Opens the overlay in the system's image viewer; a notebook shows a result that ends a cell."""
        Image.fromarray(self.picture()).show()

    def save(
        self, folder: str | pathlib.Path, name: str | None = None, overlay: bool = True
    ) -> dict[str, pathlib.Path]:
        """Writes ``NAME_mask.png``, or ``.tif`` for huge images, and ``NAME_overlay.png``.

        Args:
          folder: is made if it does not exist.
          name: the first part of the file names; None uses ``self.name``.
          overlay: whether the overlay is written.

        Returns:
          The paths that were written, by what they show.
        """
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        name = name or self.name
        paths = {"mask": write_mask(folder / f"{name}_mask.png", self.mask, self.mask_palette)}
        if overlay:
            paths["overlay"] = folder / f"{name}_overlay.png"
            write_image(paths["overlay"], self.picture())
        return paths

    def _repr_png_(self) -> bytes:
        """Returns the overlay as a PNG, at most 1024 pixels long, for notebooks."""
        picture = self.picture()
        factor = NOTEBOOK_SIDE / max(picture.shape[:2])
        if factor < 1:
            size = tuple(max(1, round(side * factor)) for side in picture.shape[1::-1])
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        return cv2.imencode(".png", picture[..., ::-1])[1].tobytes()


@dataclasses.dataclass(frozen=True, repr=False)
class SemanticResult(_Result):
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
        """The number of pixels of each class, ``[k]``."""
        return _bincount(self.mask, len(self.class_names))

    @property
    def class_ids(self) -> np.ndarray:
        """The classes in the mask, ascending, ``[n]``."""
        return np.flatnonzero(self.areas)

    @property
    def masks(self) -> np.ndarray:
        """A mask per class in ``class_ids``, bool ``[n, h, w]``."""
        return self.mask[None] == self.class_ids[:, None, None].astype(self.mask.dtype)

    @property
    def boxes(self) -> np.ndarray:
        """The box around the pixels of each class in ``class_ids``, float32 ``[n, 4]``."""
        boxes = [cv2.boundingRect((self.mask == number).astype(np.uint8)) for number in self.class_ids]
        return np.array([(x, y, x + w, y + h) for x, y, w, h in boxes], np.float32).reshape(-1, 4)

    @property
    def scores(self) -> np.ndarray | None:
        """The mean confidence of each class in ``class_ids``, ``[n]``; None without ``confidence``."""
        if self.confidence is None:
            return None
        return np.array([self.confidence[self.mask == number].mean() / 255 for number in self.class_ids], np.float32)

    @property
    def mask_palette(self) -> np.ndarray:
        """The colors of a mask file, uint8 ``[k, 3]``."""
        return self.palette

    @property
    def summary(self) -> str:
        """The share of each class, for the console."""
        return ", ".join(f"{one['name']} {one['share']:.1%}" for one in self.entries()[0]["classes"])

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
        return add_legend(self.overlay(), entries, np.asarray(self.palette)[numbers])

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


@dataclasses.dataclass(frozen=True, repr=False)
class InstanceResult(_Result):
    """The objects that a detector found in one image, best first.

    Attributes:
      image: uint8 ``[h, w, 3]``.
      boxes: float32 ``[d, 4]``, in pixels.
      scores: float32 ``[d]``, in 0..1.
      class_ids: int32 ``[d]``; the name of object i is ``class_names[class_ids[i]]``.
      mask_probabilities: float32 ``[d, 28, 28]``, within each box.
      class_names: a name per class; number 0 is the background.
      category_ids: the number of each class in results files; () numbers them from 0.
      path: the file that the image came from; None for an array.
      shown_score: detections with a lower score are not in ``mask`` and not drawn.
    """

    image: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    mask_probabilities: np.ndarray
    class_names: tuple[str, ...]
    category_ids: Sequence[int] = ()
    path: str | None = None
    shown_score: float = SHOWN_SCORE

    @property
    def names(self) -> list[str]:
        """The name of each object's class."""
        return [self.class_names[number] for number in self.class_ids]

    @property
    def masks(self) -> np.ndarray:
        """A mask per object, bool ``[d, h, w]``; large for many objects in a large image, see ``mask_of``."""
        masks = [self.mask_of(slot) for slot in range(len(self.scores))]
        return np.stack(masks) if masks else np.zeros((0, *self.size), bool)

    def mask_of(self, slot: int) -> np.ndarray:
        """Returns the mask of one object, bool ``[h, w]``."""
        return paste_mask(self.mask_probabilities[slot], self.boxes[slot], self.size) >= 0.5

    @property
    def shown(self) -> np.ndarray:
        """The objects that are drawn: those with a score of at least ``shown_score``, at most 255."""
        return np.flatnonzero(self.scores >= self.shown_score)[:MOST_SHOWN]

    @property
    def mask(self) -> np.ndarray:
        """uint8 ``[h, w]``: 0 for the background, else 1 + the number of the best drawn object at that pixel."""
        numbers = np.zeros(self.size, np.uint8)
        for number, slot in reversed(list(enumerate(self.shown, start=1))):
            numbers[self.mask_of(slot)] = number
        return numbers

    @property
    def mask_palette(self) -> np.ndarray:
        """The colors of a mask file, uint8 ``[n, 3]``."""
        return np.concatenate([np.zeros((1, 3), np.uint8), distinct_colors(len(self.shown))])

    @property
    def summary(self) -> str:
        """The names and scores of the drawn objects, for the console."""
        return ", ".join(self.annotations().titles) or "nothing found"

    def annotations(self) -> pictures.Annotations:
        """Returns the drawn objects as ``reporting.pictures`` draws them; masks are made when they are read."""
        best = self.shown
        titles = [f"{self.class_names[self.class_ids[slot]]} {self.scores[slot]:.2f}" for slot in best]
        return pictures.Annotations(_Masks(self, best), self.boxes[best], titles, distinct_colors(len(titles)))

    def overlay(self) -> np.ndarray:
        """Draws boxes, masks, names and scores over the image, uint8 ``[h, w, 3]``."""
        return pictures.instances(self.image, self.annotations())

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """Returns an entry of a COCO results file per object, with a run-length mask."""
        return [{"image_id": image_id, **entry} for entry in self.entries()]

    def entries(self) -> list[dict[str, Any]]:
        """Returns the image's entries in ``predictions.json``: one per object, in COCO's form without the image."""
        valid = np.ones(len(self.scores), bool)
        found = Instances(self.boxes, self.scores, self.class_ids, valid, self.mask_probabilities)
        return to_coco_results(found, self.size, self.category_ids or range(len(self.class_names)))

    def __repr__(self) -> str:
        return f"InstanceResult({self.size[1]}x{self.size[0]}: {self.summary})"


Result = SemanticResult | InstanceResult


class _Masks(Sequence):
    """Masks of some objects of a result, each made when it is read, since many large ones would fill the memory."""

    def __init__(self, result: InstanceResult, slots: np.ndarray):
        self._result, self._slots = result, slots

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, number: int) -> np.ndarray:
        return self._result.mask_of(self._slots[number])


def _bincount(mask: np.ndarray, classes: int, rows: int = 1024) -> np.ndarray:
    """Counts the pixels of each class, some rows at a time: ``bincount`` makes 8 bytes of each pixel."""
    parts = [mask[top : top + rows].ravel() for top in range(0, len(mask), rows)]
    return sum((np.bincount(part, minlength=classes) for part in parts), np.zeros(classes, np.int64))

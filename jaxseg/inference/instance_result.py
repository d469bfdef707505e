"""The objects that a detector found in one image, in the image's own pixels."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxseg.data.colors import distinct_colors
from jaxseg.inference.result import ImageResult
from jaxseg.metrics.detections import paste_mask, to_coco_results
from jaxseg.models.mask_rcnn.detections import Instances
from jaxseg.reporting import pictures

SHOWN_SCORE = 0.5  # Detections with a lower score are in the results, but are not drawn.
MOST_SHOWN = 255  # A pixel of a mask file can tell 255 objects apart; 0 is the background.


@dataclasses.dataclass(frozen=True, repr=False)
class InstanceResult(ImageResult):
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
        """Returns the name of each object's class."""
        return [self.class_names[number] for number in self.class_ids]

    @property
    def masks(self) -> np.ndarray:
        """Returns a mask per object, bool ``[d, h, w]``: large for many objects in a large image, see ``mask_of``."""
        masks = [self.mask_of(slot) for slot in range(len(self.scores))]
        return np.stack(masks) if masks else np.zeros((0, *self.size), bool)

    def mask_of(self, slot: int) -> np.ndarray:
        """Returns the mask of one object, bool ``[h, w]``."""
        return paste_mask(self.mask_probabilities[slot], self.boxes[slot], self.size) >= 0.5

    @property
    def shown(self) -> np.ndarray:
        """Returns the indices of the drawn objects: those with a score of at least ``shown_score``, at most 255."""
        return np.flatnonzero(self.scores >= self.shown_score)[:MOST_SHOWN]

    @property
    def mask(self) -> np.ndarray:  # type: ignore[override]  # computed here, a field of the other kind
        """Returns uint8 ``[h, w]``: 0 for the background, else 1 + the index of the best drawn object at that pixel."""
        numbers = np.zeros(self.size, np.uint8)
        for number, slot in reversed(list(enumerate(self.shown, start=1))):
            numbers[self.mask_of(slot)] = number
        return numbers

    @property
    def mask_palette(self) -> np.ndarray:
        """Returns the colors of a mask file, uint8 ``[n, 3]``."""
        return np.concatenate([np.zeros((1, 3), np.uint8), distinct_colors(len(self.shown))])

    @property
    def summary(self) -> str:
        """Returns the names and scores of the drawn objects, for the console."""
        return ", ".join(self.annotations().titles) or "nothing found"

    def annotations(self) -> pictures.Annotations:
        """Returns the drawn objects as ``reporting.pictures`` draws them; masks are made when they are read."""
        best = self.shown
        titles = [f"{self.class_names[self.class_ids[slot]]} {self.scores[slot]:.2f}" for slot in best]
        colors = distinct_colors(len(titles))
        return pictures.Annotations(_Masks(self, best), self.boxes[best], titles, colors, self.class_ids[best])

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


class _Masks(Sequence):
    """Masks of some objects of a result, each made when it is read, since many large ones would fill the memory."""

    def __init__(self, result: InstanceResult, slots: np.ndarray):
        self._result, self._slots = result, slots

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, number: int) -> np.ndarray:  # type: ignore[override]  # nobody slices it
        return self._result.mask_of(self._slots[number])

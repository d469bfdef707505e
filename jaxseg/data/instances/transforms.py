"""Augmentation for detectors: image, boxes and masks move together.

Whatever is random takes a numpy Generator first, so that a caller who seeds it from an example's position gets the same
example from any process.
"""

from typing import NamedTuple

import cv2
import ml_collections
import numpy as np

from jaxseg.data.geometry import boxes_of_masks, occupied
from jaxseg.data.resize import Size, nearest, pick, resized_size
from jaxseg.types import InstanceExample, Objects


class View(NamedTuple):
    """How an image is looked at: resized, then through a window, then perhaps mirrored.

    Attributes:
      resized: (height, width) of the whole image.
      corner: (top, left) of the window.
      size: (height, width) of the window, which lies within the image.
      flip: left and right are exchanged.
      smooth: an image is shrunk by averages; if not, bilinearly as at prediction, which skips pixels.
    """

    resized: Size
    corner: tuple[int, int]
    size: Size
    flip: bool = False
    smooth: bool = False


def check_sides(data_config: ml_collections.ConfigDict) -> None:
    """Sees that ``config.data.min_size`` and ``max_size`` are sides to which images can be resized."""
    if not 0 < data_config.min_size <= data_config.max_size:
        raise ValueError(
            f"config.data.min_size is {data_config.min_size} and max_size {data_config.max_size}; expected "
            "0 < min_size <= max_size, in pixels"
        )


def whole_view(size: Size, min_size: int, max_size: int) -> View:
    """The whole of an image of ``size``, resized as ``resized_size`` says."""
    resized = resized_size(size, min_size, max_size)
    return View(resized, (0, 0), resized)


def jittered_view(rng: np.random.Generator, size: Size, scale: tuple[float, float], window: Size) -> View:
    """Large-scale jitter: Ghiasi et al., Simple Copy-Paste (CVPR 2021), section 3.

    The image is resized to fit the window, times a factor that is uniform in ``scale``. Of one that is larger then, a
    window at a random place remains; one that is smaller remains whole.
    """
    factor = rng.uniform(*scale) * min(window[0] / size[0], window[1] / size[1])
    resized = max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
    seen = min(resized[0], window[0]), min(resized[1], window[1])
    corner = int(rng.integers(resized[0] - seen[0] + 1)), int(rng.integers(resized[1] - seen[1] + 1))
    return View(resized, corner, seen, smooth=True)


def apply_view(example: InstanceExample, view: View) -> InstanceExample:
    """The image, boxes and masks of a view.

    Boxes that the window cuts become the tight boxes of what remains of their masks. Objects of which nothing remains
    are dropped: those with an empty mask, or a box without area.
    """
    (top, left), (height, width) = view.corner, view.size
    objects, old = example.objects, example.image.shape[:2]
    image = _resize(example.image, view.resized, view.smooth)[top : top + height, left : left + width]
    rows, columns = (nearest(*sides) for sides in zip(old, view.resized, strict=True))
    rows, columns = rows[top : top + height], columns[left : left + width]
    factors = np.asarray(view.resized, np.float32) / np.asarray(old, np.float32)
    boxes = objects.boxes * factors[[1, 0, 1, 0]] - np.array([left, top, left, top], np.float32)
    if view.flip:
        image, columns = cv2.flip(image, 1), columns[::-1]
        x1, y1, x2, y2 = boxes.T
        boxes = np.stack([width - x2, y1, width - x1, y2], axis=1)
    masks = pick(objects.masks, rows, columns)
    cut = (boxes < 0).any(axis=1) | (boxes > np.array([width, height, width, height])).any(axis=1)
    boxes[cut] = boxes_of_masks(masks[cut])
    objects = Objects(boxes.astype(np.float32), objects.classes, masks, objects.crowd)
    return InstanceExample(np.ascontiguousarray(image), drop_vanished(objects))


def drop_vanished(objects: Objects) -> Objects:
    """The objects that have a mask and a box with an area."""
    x1, y1, x2, y2 = objects.boxes.T
    remain = (x1 < x2) & (y1 < y2) & occupied(objects.masks)
    return objects if remain.all() else select_objects(objects, remain)


def select_objects(objects: Objects, which: np.ndarray) -> Objects:
    """Some of the objects, by index or by bool ``[m]``."""
    return Objects(*(field[which] for field in objects))


def _resize(image: np.ndarray, size: Size, smooth: bool) -> np.ndarray:
    if image.shape[:2] == size:
        return image
    averages = smooth and size[0] <= image.shape[0] and size[1] <= image.shape[1]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if averages else cv2.INTER_LINEAR)

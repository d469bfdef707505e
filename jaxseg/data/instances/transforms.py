"""Views of images for detectors: image, boxes and masks are resized, cropped and flipped together."""

from typing import NamedTuple

import cv2
import ml_collections
import numpy as np

from jaxseg.data.geometry import boxes_of_masks, occupied
from jaxseg.data.resize import Size, nearest, pick, resized_size
from jaxseg.types import InstanceExample, Objects


class View(NamedTuple):
    """A part of an image at some size: the image is resized, cropped to a window, then flipped.

    Attributes:
      resized: (height, width) of the whole image.
      corner: (top, left) of the window.
      size: (height, width) of the window, which lies within the resized image.
      flip: whether left and right are exchanged.
      flip_vertical: whether top and bottom are exchanged.
      smooth: whether shrinking averages pixels. Otherwise it is bilinear as at prediction, which skips pixels.
    """

    resized: Size
    corner: tuple[int, int]
    size: Size
    flip: bool = False
    flip_vertical: bool = False
    smooth: bool = False


def check_sides(data_config: ml_collections.ConfigDict) -> None:
    """Checks that images can be resized to ``config.data.min_size`` and ``max_size``.

    Raises:
      ValueError: they are not positive, or contradict each other.
    """
    if not 0 < data_config.min_size <= data_config.max_size:
        raise ValueError(
            f"config.data.min_size is {data_config.min_size} and max_size {data_config.max_size}; expected "
            "0 < min_size <= max_size, in pixels."
        )


def whole_view(size: Size, min_size: int, max_size: int) -> View:
    """Returns the view of a whole image of ``size``, resized as in ``resized_size``."""
    resized = resized_size(size, min_size, max_size)
    return View(resized, (0, 0), resized)


def jittered_view(rng: np.random.Generator, size: Size, scale: tuple[float, float], window: Size) -> View:
    """Samples a view by large-scale jitter (Ghiasi et al., Simple Copy-Paste, CVPR 2021, section 3).

    The image is resized to fit the window, times a factor that is uniform in ``scale``. A larger image is cropped to a
    window at a random place; a smaller one remains whole.

    Args:
      rng: random generator.
      size: (height, width) of the image.
      scale: range of the factor.
      window: (height, width) of the window.
    """
    factor = rng.uniform(*scale) * min(window[0] / size[0], window[1] / size[1])
    resized = max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
    seen = min(resized[0], window[0]), min(resized[1], window[1])
    corner = int(rng.integers(resized[0] - seen[0] + 1)), int(rng.integers(resized[1] - seen[1] + 1))
    return View(resized, corner, seen, smooth=True)


def apply_view(example: InstanceExample, view: View) -> InstanceExample:
    """Resamples image, boxes and masks for a view.

    A box that the window cuts becomes the tight box of what remains of its mask. For an object without a mask, the box
    itself is cut. Objects that vanish are dropped.
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
    if view.flip_vertical:
        image, rows = cv2.flip(image, 0), rows[::-1]
        x1, y1, x2, y2 = boxes.T
        boxes = np.stack([x1, height - y2, x2, height - y1], axis=1)
    masks = pick(objects.masks, rows, columns)
    cut = (boxes < 0).any(axis=1) | (boxes > np.array([width, height, width, height])).any(axis=1)
    if cut.any():
        boxes[cut] = np.where(
            occupied(objects.masks[cut])[:, None],
            boxes_of_masks(masks[cut]),
            np.clip(boxes[cut], 0, np.array([width, height, width, height])),
        )
    resampled = Objects(boxes.astype(np.float32), objects.classes, masks, objects.crowd)
    return InstanceExample(np.ascontiguousarray(image), drop_vanished(resampled, objects.masks))


def drop_vanished(objects: Objects, before: np.ndarray) -> Objects:
    """Drops objects with a box without area, and those that had a mask and have none any more.

    Args:
      objects: as they are now.
      before: the masks ``[m, h, w]`` that they had.
    """
    x1, y1, x2, y2 = objects.boxes.T
    seen = occupied(objects.masks)
    if not seen.all():
        seen[~seen] = ~occupied(before[~seen])
    remain = (x1 < x2) & (y1 < y2) & seen
    return objects if remain.all() else select_objects(objects, remain)


def select_objects(objects: Objects, which: np.ndarray) -> Objects:
    """Selects objects by index or by bool ``[m]``."""
    return Objects(*(field[which] for field in objects))


def _resize(image: np.ndarray, size: Size, smooth: bool) -> np.ndarray:
    if image.shape[:2] == size:
        return image
    averages = smooth and size[0] <= image.shape[0] and size[1] <= image.shape[1]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if averages else cv2.INTER_LINEAR)

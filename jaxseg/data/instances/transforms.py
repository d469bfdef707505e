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
from jaxseg.data.semantic.transforms import check_shares, check_unused, image_size
from jaxseg.types import InstanceExample, Objects


class InstanceAugmentation(NamedTuple):
    """What happens to the images that a detector learns from; see ``config.data`` in configs/base.py.

    Attributes:
      min_sizes: the short sides to choose from.
      max_size: of the long side.
      scale_jitter: range of sizes relative to one that fits ``fixed_size``; None: images are resized by their sides.
      fixed_size: (height, width) of the window that is cut out of a jittered image.
      flip, brightness, contrast, saturation, hue, copy_paste: see there.
    """

    min_sizes: tuple[int, ...]
    max_size: int
    scale_jitter: tuple[float, float] | None
    fixed_size: Size
    flip: bool
    brightness: float
    contrast: float
    saturation: float
    hue: float
    copy_paste: float


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
    flip: bool
    smooth: bool


def instance_augmentation(data_config: ml_collections.ConfigDict) -> InstanceAugmentation:
    """Reads and checks what the config says of augmentation for detectors."""
    chosen = data_config.augment
    check_sides(data_config)
    if not all(isinstance(side, int) and 0 < side <= data_config.max_size for side in chosen.min_sizes):
        raise ValueError(
            f"config.data.augment.min_sizes is {tuple(chosen.min_sizes)}; expected short sides in pixels, at most "
            f"config.data.max_size, which is {data_config.max_size}"
        )
    low, high = chosen.scale_jitter
    if not 0 < low <= high:
        raise ValueError(f"config.data.augment.scale_jitter is ({low}, {high}); expected 0 < lowest <= highest")
    check_shares(data_config, "brightness", "contrast", "saturation", "hue", "copy_paste")
    check_unused(data_config, "detectors", crop_scale=(1, 1), crop_ratio=(1, 1), elastic=0)
    return InstanceAugmentation(
        min_sizes=tuple(chosen.min_sizes) or (data_config.min_size,),
        max_size=data_config.max_size,
        scale_jitter=None if low == high == 1 else (low, high),
        fixed_size=image_size(data_config),
        **{field: chosen[field] for field in ("flip", "brightness", "contrast", "saturation", "hue", "copy_paste")},
    )


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
    return View(resized, (0, 0), resized, flip=False, smooth=False)


def random_view(rng: np.random.Generator, size: Size, chosen: InstanceAugmentation) -> View:
    """A view of an image of ``size``: of one of the short sides, or jittered; mirrored half of the time if so asked."""
    if chosen.scale_jitter:
        view = jittered_view(rng, size, chosen.scale_jitter, chosen.fixed_size)
    else:
        view = whole_view(size, int(rng.choice(chosen.min_sizes)), chosen.max_size)
    return view._replace(flip=chosen.flip and rng.random() < 0.5)


def jittered_view(rng: np.random.Generator, size: Size, scale: tuple[float, float], window: Size) -> View:
    """Large-scale jitter: Ghiasi et al., Simple Copy-Paste (CVPR 2021), section 3.

    The image is resized to fit the window, times a factor that is uniform in ``scale``. Of one that is larger then, a
    window at a random place remains; one that is smaller remains whole.
    """
    factor = rng.uniform(*scale) * min(window[0] / size[0], window[1] / size[1])
    resized = max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
    seen = min(resized[0], window[0]), min(resized[1], window[1])
    corner = int(rng.integers(resized[0] - seen[0] + 1)), int(rng.integers(resized[1] - seen[1] + 1))
    return View(resized, corner, seen, flip=False, smooth=True)


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

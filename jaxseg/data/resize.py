"""Images and objects for detectors: normalized, resized, and padded to a few sizes.

The numbers are those of torchvision's ``GeneralizedRCNNTransform``, which normalizes first and resizes then. Images are
resized bilinearly with half-pixel centers and without antialias, masks by the nearest pixel above and to the left.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from jaxseg.types import Objects

MULTIPLE = 32  # the stride of the highest level that the backbone computes

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Size = tuple[int, int]


class DetectorImages(NamedTuple):
    """A batch of images, ready for the detector.

    Attributes:
      image: float32 ``[b, h, w, 3]``, normalized, resized, padded with zeros at the bottom and the right.
      sizes: int32 ``[b, 2]``, height and width of the resized images.
      extents: int32 ``[b, 2]``, these sizes rounded up to multiples of 32.
      original_sizes: int32 ``[b, 2]``.
    """

    image: np.ndarray
    sizes: np.ndarray
    extents: np.ndarray
    original_sizes: np.ndarray


def resized_size(size: Size, min_size: int, max_size: int) -> Size:
    """Returns the size with the shorter side ``min_size``, or the longer side ``max_size`` if that is smaller."""
    scale = min(min_size / min(size), max_size / max(size))
    height, width = (max(1, int(np.floor(side * scale))) for side in size)
    return height, width


def normalize(
    image: np.ndarray, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD
) -> np.ndarray:
    """Normalizes a uint8 image ``[h, w, 3]`` to float32: scaled to 0..1, minus the mean, divided by ``std``."""
    image = image.astype(np.float32) / np.float32(255)
    return (image - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)


def resize_image(image: np.ndarray, size: Size) -> np.ndarray:
    """Resizes a float32 image ``[h, w, c]`` bilinearly."""
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)


def resize_photo(image: np.ndarray, size: Size) -> np.ndarray:
    """Resizes a uint8 image ``[h, w, 3]`` bilinearly, as Pillow does: a smaller size averages pixels."""
    return image if image.shape[:2] == size else _resize_by_pillow(image, size, Image.Resampling.BILINEAR)


def resize_label_map(label: np.ndarray, size: Size) -> np.ndarray:
    """Resizes a uint8 label map ``[h, w]`` by its nearest pixels, as Pillow does: with half-pixel centers."""
    return label if label.shape == size else _resize_by_pillow(label, size, Image.Resampling.NEAREST)


def _resize_by_pillow(image: np.ndarray, size: Size, resampling: Image.Resampling) -> np.ndarray:
    return np.array(Image.fromarray(np.ascontiguousarray(image)).resize(size[::-1], resampling))


def resize_masks(masks: np.ndarray, size: Size) -> np.ndarray:
    """Resizes masks ``[m, h, w]``: row i of the result is row ⌊i · h / h'⌋, in float32, of the original."""
    return pick(masks, *(nearest(old, new) for old, new in zip(masks.shape[1:], size, strict=True)))


def pick(masks: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Selects rows and columns, which may repeat, of masks ``[m, h, w]``."""
    # Copying rows is fast and gathering columns slow, so columns are gathered where there are fewer rows.
    if len(rows) < masks.shape[1]:
        return masks.take(rows, axis=1).take(columns, axis=2)
    return masks.take(columns, axis=2).take(rows, axis=1)


def nearest(old: int, new: int) -> np.ndarray:
    """Returns the one of ``old`` positions that each of ``new`` positions copies."""
    positions = np.arange(new, dtype=np.float32) * (np.float32(old) / np.float32(new))
    return np.minimum(positions.astype(np.int64), old - 1)


def resize_objects(objects: Objects, old: Size, new: Size) -> Objects:
    """Resizes the objects of an image; boxes scale with each axis."""
    factors = np.asarray(new, np.float32) / np.asarray(old, np.float32)
    boxes = objects.boxes * factors[[1, 0, 1, 0]]
    return objects._replace(boxes=boxes.astype(np.float32), masks=resize_masks(objects.masks, new))


def rounded_up(size: Size) -> Size:
    """Rounds a size up to multiples of 32."""
    height, width = (-(-side // MULTIPLE) * MULTIPLE for side in size)
    return height, width


def buckets(min_size: int, max_size: int, lengths: int = 2) -> tuple[Size, ...]:
    """Returns the sizes to which images are padded, ``2 * lengths``; one program is compiled for each.

    Every resized image fits one of them: its short side is at most ``min_size``, its long side at most ``max_size``.

    Args:
      min_size: see ``resized_size``.
      max_size: see ``resized_size``.
      lengths: number of longer sides, for landscape and for portrait.
    """
    short, longest = rounded_up((min_size, max(min_size, max_size)))
    steps = [short + (longest - short) * (i + 1) / lengths for i in range(lengths)]
    lying = [rounded_up((short, int(np.ceil(step)))) for step in steps]
    return tuple(dict.fromkeys(lying + [size[::-1] for size in lying]))


def bucket_of(size: Size, choices: Sequence[Size]) -> Size:
    """Returns the smallest bucket that holds an image.

    Raises:
      ValueError: none does.
    """
    fitting = [choice for choice in choices if choice[0] >= size[0] and choice[1] >= size[1]]
    if not fitting:
        raise ValueError(f"An image of {size[0]}x{size[1]} fits none of the buckets {tuple(choices)}.")
    return min(fitting, key=lambda choice: choice[0] * choice[1])


def batch_images(
    images: Sequence[np.ndarray],
    min_size: int,
    max_size: int,
    padded: Size | None = None,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> DetectorImages:
    """Makes one batch of uint8 images ``[h, w, 3]``.

    Args:
      images: of any sizes.
      min_size: see ``resized_size``.
      max_size: see ``resized_size``.
      padded: the size of the batch, such as a bucket. None uses the smallest multiple of 32 that holds all images.
      mean: of each channel in 0..1.
      std: of each channel.
    """
    sizes = [resized_size(image.shape[:2], min_size, max_size) for image in images]
    extents = [rounded_up(size) for size in sizes]
    height, width = padded or np.max(extents, axis=0)
    batch = np.zeros((len(images), height, width, 3), np.float32)
    for row, image, size in zip(batch, images, sizes, strict=True):
        row[: size[0], : size[1]] = resize_image(normalize(image, mean, std), size)
    originals = [image.shape[:2] for image in images]
    return DetectorImages(batch, *(np.array(x, np.int32) for x in (sizes, extents, originals)))

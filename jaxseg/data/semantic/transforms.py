"""Turns a record into an example, and examples into examples: image and label move together.

Random functions take a numpy Generator first. A caller who seeds it from an example's position gets the same example
from any process. Images stay uint8; they are normalized on the device.
"""

import math
from typing import NamedTuple

import cv2
import ml_collections
import numpy as np

from jaxseg.config.resolution import normalization
from jaxseg.types import IGNORE, Example, Record

Color = tuple[float, float, float]


class Positions(NamedTuple):
    """Where a crop samples its image: pixel (y, x) shows the position (rows[y] + shift_y[x], columns[x] + shift_x[y]).

    Pixel centers have whole numbers. Each coordinate is one sum of two float32 numbers. Every machine therefore finds
    the same bits, and the same nearest pixels.

    Attributes:
      rows: float32 ``[h]``.
      columns: float32 ``[w]``.
      shift_y: float32 ``[w]``, 0 without rotation.
      shift_x: float32 ``[h]``, 0 without rotation.
    """

    rows: np.ndarray
    columns: np.ndarray
    shift_y: np.ndarray
    shift_x: np.ndarray


def image_size(data_config: ml_collections.ConfigDict) -> tuple[int, int]:
    """Returns ``config.data.image_size`` as (height, width); one number means square."""
    return _size(data_config, "image_size")


def crop_size(data_config: ml_collections.ConfigDict) -> tuple[int, int]:
    """Returns the size of training crops: ``config.data.crop_size``, or ``image_size`` where that is empty."""
    return image_size(data_config) if data_config.crop_size == () else _size(data_config, "crop_size")


def _size(data_config: ml_collections.ConfigDict, field: str) -> tuple[int, int]:
    size = tuple(np.atleast_1d(np.asarray(data_config[field], dtype=object)))
    size = size * 2 if len(size) == 1 else size
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(
            f"config.data.{field} is {data_config[field]}; expected (height, width) or one number, in pixels"
        )
    return size


def mean_color(data_config: ml_collections.ConfigDict) -> Color:
    """Returns the color, in 0..255, that normalization turns into zero: the color of padding."""
    means, _ = normalization(data_config)
    return tuple(float(np.clip(round(mean * data_config.scale), 0, 255)) for mean in means)


def check_label(record: Record, class_count: int) -> Record:
    """Checks the label map of a record, and returns the record.

    Raises:
      ValueError: the record has no label map, one of another size than its image, or one with unknown values.
    """
    if record.label is None:
        raise ValueError(f"{record.name} has no label map; semantic tasks need a data set with label maps")
    if record.label.shape != record.image.shape[:2]:
        raise ValueError(
            f"{record.name}: the label is {record.label.shape[1]}x{record.label.shape[0]}, "
            f"its image {record.image.shape[1]}x{record.image.shape[0]}; expected the same size"
        )
    unknown = record.label[(record.label >= class_count) & (record.label != IGNORE)]
    if unknown.size:
        raise ValueError(f"{record.name}: label value {unknown[0]}; expected 0 to {class_count - 1}, or {IGNORE}")
    return record


def resize(example: Example, size: tuple[int, int]) -> Example:
    """Resizes to ``size`` (height, width): bilinear for the image, nearest for the label, with half-pixel centers."""
    return Example(resize_image(example.image, size), resize_label(example.label, size))


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes bilinearly, with half-pixel centers and without antialiasing: ``[h, w, 3]`` to ``[*size, 3]``."""
    return image if image.shape[:2] == size else cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)


def resize_label(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes by nearest neighbor, with half-pixel centers: ``[h, w]`` to ``[*size]``."""
    # Plain INTER_NEAREST samples the upper left corner of each pixel, which shifts labels against their images.
    return label if label.shape == size else cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def pad(example: Example, size: tuple[int, int], color: Color) -> Example:
    """Fills up to ``size`` (height, width) at the bottom and on the right, with ``color`` and ``IGNORE``."""
    rows, columns = size[0] - example.label.shape[0], size[1] - example.label.shape[1]
    if rows < 0 or columns < 0:
        raise ValueError(f"cannot pad an image of {example.label.shape} rows and columns to {size}")
    image = cv2.copyMakeBorder(example.image, 0, rows, 0, columns, cv2.BORDER_CONSTANT, value=color)
    label = cv2.copyMakeBorder(example.label, 0, rows, 0, columns, cv2.BORDER_CONSTANT, value=IGNORE)
    return Example(image, label)


def crop(
    example: Example,
    box: tuple[float, float, float, float],
    size: tuple[int, int],
    color: Color,
    angle: float = 0.0,
) -> Example:
    """Cuts out a box, resizes it and rotates it, in one interpolation.

    Args:
      example: image and label.
      box: ``[x1, y1, x2, y2]`` in pixels; what lies outside the image is filled with ``color`` and ``IGNORE``.
      size: (height, width) of the result.
      color: of the padding, 0..255.
      angle: rotation about the center, in degrees, counterclockwise. The corners show what lies beyond the box.
    """
    to_source, padded = crop_map(box, example.label.shape, size, angle)
    border = cv2.BORDER_CONSTANT if padded else cv2.BORDER_REPLICATE
    if angle:
        rows, columns, shift_y, shift_x = positions(to_source, size)
        x, y = columns[None] + shift_x[:, None], rows[:, None] + shift_y[None]
        return Example(
            cv2.remap(example.image, x, y, cv2.INTER_LINEAR, None, border, color),
            cv2.remap(example.label, x, y, cv2.INTER_NEAREST, None, border, IGNORE),
        )
    inverse = cv2.WARP_INVERSE_MAP
    return Example(
        cv2.warpAffine(example.image, to_source, size[::-1], None, cv2.INTER_LINEAR | inverse, border, color),
        cv2.warpAffine(example.label, to_source, size[::-1], None, cv2.INTER_NEAREST | inverse, border, IGNORE),
    )


def crop_map(
    box: tuple[float, float, float, float], source: tuple[int, int], size: tuple[int, int], angle: float = 0.0
) -> tuple[np.ndarray, bool]:
    """Returns the map from pixels of a crop to pixels of its image, and whether the crop is padded.

    Args:
      box: ``[x1, y1, x2, y2]`` in pixels of the image.
      source: (height, width) of the image.
      size: (height, width) of the crop.
      angle: rotation of the crop about its center, in degrees, counterclockwise.

    Returns:
      float64 ``[2, 3]``, which maps the numbers (x, y, 1) of a pixel; True if the rotated box leaves the image.
    """
    x1, y1, x2, y2 = box
    step_x, step_y = (x2 - x1) / size[1], (y2 - y1) / size[0]
    to_source = np.array([[step_x, 0, x1 + step_x / 2 - 0.5], [0, step_y, y1 + step_y / 2 - 0.5]])
    if angle:
        to_source = to_source @ _rotation(angle, size)
        x1, y1, x2, y2 = _bounds(to_source, size)
    # Centers of the outermost pixels may lie up to half a pixel beyond those of the image. That is padding only where
    # the box itself leaves the image. Elsewhere the edge is repeated.
    return to_source, not min(x1, y1, source[1] - x2, source[0] - y2) > -1e-3


def positions(to_source: np.ndarray, size: tuple[int, int]) -> Positions:
    """Returns where a crop of ``size`` (height, width) samples its image, by a map of ``crop_map``.

    Example:
      >>> to_source, _ = crop_map((0, 0, 3, 3), (3, 3), (3, 3), angle=90)
      >>> rows, columns, shift_y, shift_x = positions(to_source, (3, 3))
      >>> (columns[None] + shift_x[:, None]).round().tolist()  # The first row shows the last column.
      [[2.0, 2.0, 2.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
    """
    (x_by_x, x_by_y, left), (y_by_x, y_by_y, top) = to_source.astype(np.float32)
    y, x = (np.arange(side, dtype=np.float32) for side in size)
    # OpenCV computes positions in float32, too. Labels depend on the last bit.
    return Positions(y_by_y * y + top, x_by_x * x + left, y_by_x * x, x_by_y * y)


def _rotation(angle: float, size: tuple[int, int]) -> np.ndarray:
    """Returns the map ``[3, 3]`` from pixels of a rotated image of ``size`` to those of the image."""
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    y, x = (size[0] - 1) / 2, (size[1] - 1) / 2
    return np.array([[cosine, -sine, x - cosine * x + sine * y], [sine, cosine, y - sine * x - cosine * y], [0, 0, 1]])


def _bounds(to_source: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns the bounding box ``[x1, y1, x2, y2]`` of a crop of ``size``, in the image that it is cut from."""
    top, left, bottom, right = -0.5, -0.5, size[0] - 0.5, size[1] - 0.5
    corners = to_source @ np.array([[left, left, right, right], [top, bottom, top, bottom], [1, 1, 1, 1]])
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)]) + 0.5

"""What people give a predictor: paths, arrays and PIL images, brought to uint8 RGB."""

import os
from typing import Any

import numpy as np
from PIL import Image

from jaxseg.data.exif import orientation_of, turn_upright
from jaxseg.data.images import DEFAULTS, ReadOptions, read_image

WHITE = 255


def to_image(given: Any, options: ReadOptions = DEFAULTS) -> tuple[np.ndarray, str | None]:
    """Returns what was given as uint8 ``[h, w, 3]``, and its path if it is one.

    Args:
      given: a path, an array or a PIL image.
      options: how files are read, as in training.

    Raises:
      ValueError: it is no image, or an array with values or channels that have no clear meaning.
    """
    if isinstance(given, str | os.PathLike):
        path = os.fspath(given)
        return read_image(path, options, []), path
    if isinstance(given, Image.Image):
        return from_pil(given), None
    return check_array(np.asarray(given)), None


def from_pil(image: Image.Image) -> np.ndarray:
    """Returns a PIL image as RGB on white, upright by its EXIF as files are, uint8 ``[h, w, 3]``."""
    if image.mode.startswith(("I", "F")):
        array = check_array(np.asarray(image))
    elif image.has_transparency_data:
        array = check_array(np.asarray(image.convert("RGBA")))
    else:
        array = np.asarray(image.convert("RGB"))
    # Pillow turns TIFF images itself when it loads them.
    orientation = 1 if image.format == "TIFF" else orientation_of(image.info.get("exif", b""))
    return turn_upright(array, orientation)


def check_array(array: np.ndarray) -> np.ndarray:
    """Returns an array as an image, uint8 ``[h, w, 3]``.

    Gray images get three equal channels and transparent parts become white. Integers of other types are taken if they
    are in 0..255, real numbers if they are in 0..1.

    Raises:
      ValueError: the shape, the type or the values do not tell what the image looks like.

    >>> check_array(np.array([[0.0, 0.5, 1.0]]))[..., 0].tolist()
    [[0, 128, 255]]
    >>> check_array(np.full((2, 2, 3), 3.7))
    Traceback (most recent call last):
    ...
    ValueError: image has values from 3.7 to 3.7 and the type float64; expected uint8, or real numbers in 0..1. Divide \
by the largest possible value.
    """
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4) or 0 in array.shape:
        raise ValueError(
            f"image has the shape {array.shape}; expected [height, width], or [height, width, channels] with 1, 3 or 4 "
            "channels. Move the axis of the channels to the end, and give several images as a list."
        )
    array = _to_uint8(array)
    if array.shape[-1] == 4:
        alpha = array[..., 3:].astype(np.float32) / 255
        array = np.rint(array[..., :3] * alpha + WHITE * (1 - alpha)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))


def _to_uint8(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    low, high = array.min(), array.max()
    found = f"image has values from {low} to {high} and the type {array.dtype}"
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind == "f":
        if not (low >= 0 and high <= 1):  # NaN is neither.
            raise ValueError(f"{found}; expected uint8, or real numbers in 0..1. Divide by the largest possible value.")
        return np.rint(array * 255).astype(np.uint8)
    if array.dtype.kind not in "iu" or array.dtype == np.uint16 or low < 0 or high > 255:
        raise ValueError(
            f"{found}; expected uint8. Scale it to 0..255, such as (image / 257).astype(numpy.uint8) for 16 bits."
        )
    return array.astype(np.uint8)

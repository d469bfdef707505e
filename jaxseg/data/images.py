"""Reading images, and label maps that are images of numbers."""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

# What Pillow calls files with one number a pixel: gray, indices into a palette, black and white, 16 and 32 bits.
MODES = ("L", "P", "1", "I;16", "I;16B", "I")


def read_image(path: Path, *, upright: bool = False) -> np.ndarray:
    """Uint8 ``[h, w, 3]``; turned as EXIF says only if ``upright``, for labels are drawn on the pixels as they lie."""
    encoded = np.frombuffer(path.read_bytes(), np.uint8)
    mode = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(encoded, mode) if encoded.size else None
    if image is None:
        raise ValueError(f"{path} cannot be decoded; expected a whole image file")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_values(path: Path) -> np.ndarray:
    """The numbers in a label file, uint8 ``[h, w]``: gray values, or indices where it has a palette.

    Raises:
      ValueError: a file that cannot be decoded, that has colors, or numbers beyond 255.
    """
    image = _open(path)
    if image.mode not in MODES:
        raise ValueError(
            f"{path} has the mode {image.mode}; expected one number a pixel, as in a gray or a palette image"
        )
    values = np.asarray(image)
    if values.max(initial=0) > 255:
        raise ValueError(f"{path} has the value {values.max()}; expected 0 to 255")
    return values.astype(np.uint8)


def read_palette(path: Path) -> np.ndarray:
    """The colors of a palette image, uint8 ``[n, 3]``; none of another."""
    return np.array(_open(path).getpalette() or [], np.uint8).reshape(-1, 3)


def _open(path: Path) -> Image.Image:
    # By Pillow, since OpenCV turns indices into the colors that they stand for.
    try:
        image = Image.open(io.BytesIO(path.read_bytes()))
        image.load()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be decoded ({error}); expected a whole image file") from error
    return image

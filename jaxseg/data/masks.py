"""Label maps that are images of numbers."""

from pathlib import Path

import numpy as np
from PIL import Image

from jaxseg.data.images import printable

# Pillow's names of images with one number per pixel: gray, palette indices, black and white, 16 and 32 bits.
MODES = ("L", "P", "1", "I;16", "I;16B", "I")


def read_values(path: Path) -> np.ndarray:
    """Reads the numbers in a label file, uint8 ``[h, w]``: gray values, or indices where it has a palette.

    Raises:
      ValueError: the file cannot be decoded, has colors, or has numbers above 255.
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
    """Reads the colors of a palette image, uint8 ``[n, 3]``; another image has none."""
    return np.array(_open(path).getpalette() or [], np.uint8).reshape(-1, 3)


def _open(path: Path) -> Image.Image:
    # By Pillow, since OpenCV turns indices into the colors that they stand for.
    try:
        image = Image.open(path)
        with image:
            image.load()
    except MemoryError:
        raise
    except Exception as error:  # damaged files make the libraries raise errors of almost any type
        raise ValueError(f"{printable(path)} cannot be read as an image: {error}") from error
    return image

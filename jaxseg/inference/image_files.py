"""Image files of every kind as people have them, read as plain RGB."""

import pathlib
from collections.abc import Iterable

import numpy as np

from jaxseg.data.images import read_image

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")


def find(inputs: Iterable[str]) -> list[pathlib.Path]:
    """The image files that inputs name: files as they are, folders with all images in them, in order.

    Raises:
      ValueError: an input that does not exist, or a folder without an image.
    """
    found = []
    for given in map(pathlib.Path, inputs):
        if not given.exists():
            raise ValueError(f"--input {given} does not exist")
        images = [given] if given.is_file() else sorted(p for p in given.rglob("*") if p.suffix.lower() in ENDINGS)
        if not images:
            raise ValueError(f"--input {given} has no image in it; endings that are looked for: {', '.join(ENDINGS)}")
        found.extend(images)
    return found


def read(path: pathlib.Path) -> np.ndarray:
    """Reads an image as training does, see ``data.images``: uint8 RGB ``[h, w, 3]``, upright.

    Raises:
      ValueError: the file is not an image or not whole.
    """
    return read_image(path)

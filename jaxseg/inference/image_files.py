"""Image files of every kind as people have them, read as plain RGB."""

import pathlib
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

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
    """The image as a person sees it, uint8 ``[h, w, 3]``: turned upright as its EXIF says, gray and palettes as RGB,
    transparent parts on white, 16 bits brought to 8.

    Raises:
      ValueError: the file is not an image or not whole.
    """
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith("I"):  # 16 bits: Pillow's own conversion would cut them off at 255
                image = Image.fromarray((np.asarray(image, np.float64) / 257).round().clip(0, 255).astype(np.uint8))
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            return np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from None

"""Mask files that predictions are written to."""

import pathlib

import numpy as np
from PIL import Image

from jaxseg.inference.tiff_writing import write_tiled
from jaxseg.storage import whole_file

MASK_COMPRESSION = 3  # Half the time of Pillow's default, for files that are a little larger.
MOST_PNG = 1 << 27  # Pixels. A PNG has to be decoded as a whole, a tiled TIFF does not.


def write_mask(path: pathlib.Path, label: np.ndarray, palette: np.ndarray) -> pathlib.Path:
    """Writes a label map, uint8 ``[h, w]``, as an indexed picture in the colors of a palette, uint8 ``[n, 3]``.

    It is a PNG, or a tiled TIFF above ``MOST_PNG`` pixels.

    Returns:
      The path that was written, with the ending of its format.

    Raises:
      OSError: the file cannot be written.
    """
    if label.size > MOST_PNG:
        path = path.with_suffix(".tif")
        with whole_file(path) as new:
            write_tiled(new, label, palette)
        return path
    picture = Image.fromarray(label)
    picture.putpalette(np.asarray(palette, np.uint8).tobytes())
    with whole_file(path) as new:
        picture.save(new, "PNG", compress_level=MASK_COMPRESSION)
    return path

"""Picture files that predictions are written to."""

import pathlib

import cv2
import numpy as np
from PIL import Image

from jaxseg.inference.tiff_writing import write_tiled

MASK_COMPRESSION = 3  # Half the time of Pillow's default, for files that are a little larger.
MOST_PNG = 1 << 27  # Pixels. A PNG has to be decoded as a whole, a tiled TIFF does not.


def write_image(path: pathlib.Path, image: np.ndarray) -> None:
    """Writes uint8 ``[h, w, 3]`` or ``[h, w]``, or uint16 ``[h, w]``, in the format of the path's ending.

    Raises:
      OSError: the file cannot be written.
    """
    encoded = cv2.imencode(path.suffix, image[..., ::-1] if image.ndim == 3 else image)[1]
    path.write_bytes(encoded)  # cv2.imwrite neither says why it fails nor takes names that are not UTF-8.


def write_mask(path: pathlib.Path, label: np.ndarray, palette: np.ndarray) -> pathlib.Path:
    """Writes a label map, uint8 ``[h, w]``, as an indexed picture in the colors of a palette, uint8 ``[n, 3]``.

    It is a PNG, or a tiled TIFF above ``MOST_PNG`` pixels.

    Returns:
      The path that was written, with the ending of its format.

    Raises:
      OSError: the file cannot be written.
    """
    if label.size > MOST_PNG:
        write_tiled(path.with_suffix(".tif"), label, palette)
        return path.with_suffix(".tif")
    picture = Image.fromarray(label)
    picture.putpalette(np.asarray(palette, np.uint8).tobytes())
    picture.save(path, compress_level=MASK_COMPRESSION)
    return path


def printable(path: object) -> str:
    r"""Returns a path as text that every console can print; bytes that are not UTF-8 become ``\udcXX``.

    >>> printable("caf\udce9.png")
    'caf\\udce9.png'
    """
    return str(path).encode("utf-8", "backslashreplace").decode()

"""The one reader for images: training, evaluation, prediction and inspection see the same pixels of the same file.

The rules:

- An image is upright, as its EXIF orientation says.
- Transparent parts are white: alpha is composited on ``decoding.BACKGROUND``.
- CMYK, palettes, gray and black-and-white images become RGB.
- Images with more than 8 bits per value are scaled to 8 bits by ``config.data.value_range``.
- Of a file with several pages, ``config.data.page`` is read.
- A damaged or cut-off file is an error that names it.
"""

import io
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import ml_collections
import numpy as np

from jaxseg.data.decoding import (
    END_OF_JPEG,
    END_OF_PNG,
    ReadOptions,
    bit_depth,
    check_size,
    decode,
    decode_deep,
    open_image,
    page_count,
)
from jaxseg.data.exif import orientation_of

DEFAULTS = ReadOptions()


class Header(NamedTuple):
    """What a file says about its image before the pixels are decoded.

    Attributes:
      size: (height, width) of the upright image.
      stored_size: (height, width) before the orientation is applied.
      orientation: EXIF's orientation, 1 to 8.
      bits: bits per value.
      pages: number of pages or frames.
    """

    size: tuple[int, int]
    stored_size: tuple[int, int]
    orientation: int
    bits: int
    pages: int


def read_options(data_config: ml_collections.ConfigDict) -> ReadOptions:
    """Reads and checks the options in ``config.data``.

    Raises:
      ValueError: an option is out of range.
    """
    options = ReadOptions(_value_range(data_config.value_range), data_config.page, data_config.max_pixels)
    for field, least in (("page", 0), ("max_pixels", 1)):
        if getattr(options, field) < least:
            raise ValueError(f"config.data.{field} is {getattr(options, field)}; expected {least} or more")
    return options


def read_image(path: str | os.PathLike, options: ReadOptions = DEFAULTS, notes: list[str] | None = None) -> np.ndarray:
    """Reads an image file as a person sees it.

    Args:
      path: the file.
      options: value range, page and size limit.
      notes: a list that gets what is unusual about the file, without its name. Without a list, a warning says it.

    Returns:
      uint8 RGB ``[h, w, 3]``.

    Raises:
      ValueError: the file is missing, is not an image, is damaged or is too large. The message names the file.
    """
    return decode_image(_read_bytes(Path(path)), printable(path), options, notes)


def decode_image(
    encoded: bytes, name: str, options: ReadOptions = DEFAULTS, notes: list[str] | None = None
) -> np.ndarray:
    """Decodes the content of an image file, see ``read_image``; ``name`` stands for the file in messages."""
    found: list[str] = []
    try:
        image = decode(encoded, options, found)
    except MemoryError:
        raise
    except Exception as error:  # damaged files make the libraries raise errors of almost any type
        raise ValueError(f"{name} cannot be read as an image: {error or type(error).__name__}") from error
    if notes is not None:
        notes.extend(found)
        return image
    for note in found:
        warnings.warn(f"{name} {note}", stacklevel=3)
    return image


def read_header(path: str | os.PathLike, options: ReadOptions = DEFAULTS) -> Header:
    """Reads what a file says about its image, without decoding the pixels.

    Raises:
      ValueError: the file is missing, is not an image or is too large. The message names the file.
    """
    try:
        with open(path, "rb") as file:
            return _header(file, options)
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"{printable(path)} cannot be read as an image: {_reason(error)}") from error


def check_whole(path: str | os.PathLike, options: ReadOptions = DEFAULTS) -> None:
    """Checks that an image file is whole. Of JPEG and PNG files that end as they should, only the end is read.

    Raises:
      ValueError: the file is damaged. The message names it.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(4)
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - len(END_OF_PNG)))
            end = file.read()
    except OSError as error:
        raise ValueError(f"{printable(path)} cannot be read as an image: {_reason(error)}") from error
    is_jpeg = start.startswith(b"\xff\xd8") and end.endswith(END_OF_JPEG)
    is_png = start == b"\x89PNG" and end == END_OF_PNG
    if not is_jpeg and not is_png:
        read_image(path, options, notes=[])


def printable(path: str | os.PathLike) -> str:
    """Returns a file name that every terminal can print: bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{printable(path)} cannot be read as an image: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Returns the reason in an error without the file name that ``OSError`` repeats."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _header(file: io.IOBase, options: ReadOptions) -> Header:
    image = open_image(file)
    if image is None:  # Pillow does not know floating-point RGB, for example.
        values = decode_deep(file.read(), options.page)
        return Header(values.shape[:2], values.shape[:2], 1, 8 * values.dtype.itemsize, 1)
    with image:
        tags = getattr(image, "tag_v2", None)
        if tags is None:
            stored, orientation = image.size[::-1], orientation_of(image.info.get("exif", b""))
        else:
            stored, orientation = (tags[257], tags[256]), tags.get(274, 1)
        check_size(stored, options)
        size = stored[::-1] if orientation in (5, 6, 7, 8) else stored
        return Header(size, stored, orientation, bit_depth(image), page_count(image))


def _value_range(given: object) -> str | tuple[float, float]:
    """Parses ``config.data.value_range``: "auto", two numbers, or text with two numbers."""
    parts = given.strip("()[] ").split(",") if isinstance(given, str) else given
    if given == "auto":
        return "auto"
    try:
        low, high = (float(part) for part in parts)
        if low < high and np.isfinite([low, high]).all():
            return low, high
    except (TypeError, ValueError):
        pass
    raise ValueError(f"config.data.value_range is {given!r}; expected 'auto' or two rising numbers such as 0,4095")

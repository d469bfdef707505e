"""Looks at all images of a data set once, before training: their headers, and whether the files are whole."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxseg.data.file_scan import scan_files
from jaxseg.data.images import DEFAULTS, ReadOptions, check_whole, read_header, read_image


class ImageSummary(NamedTuple):
    """What the header of one image says.

    Attributes:
      error: why it cannot be read; "" where it can.
      size: (height, width) of the upright image.
      stored_size: (height, width) before the EXIF orientation is applied.
      orientation: EXIF's orientation, 1 to 8.
      pages: number of pages.
      note: what reading it with more than 8 bits says about its value range; "" for nothing.
    """

    error: str
    size: tuple[int, int] = (0, 0)
    stored_size: tuple[int, int] = (0, 0)
    orientation: int = 1
    pages: int = 1
    note: str = ""


def scan_images(paths: Sequence[Path], options: ReadOptions, cache: Path, decode: bool = False) -> list[ImageSummary]:
    """Reads the headers of images, in the order of ``paths``, and checks that files are whole.

    Args:
      paths: the files.
      options: how images are read.
      cache: the folder that keeps summaries of files that have not changed.
      decode: whether all pixels are decoded, which finds damage in the middle of a file. Files with more than 8 bits
        always are, since only that tells whether ``value_range`` suits them.
    """
    key = f"images {tuple(options)}{' decoded' if decode else ''}"
    return scan_files(paths, lambda path: summarize_image(path, options, decode), ImageSummary, key, cache)


def summarize_image(path: Path, options: ReadOptions = DEFAULTS, decode: bool = False) -> ImageSummary:
    """Summarizes one image, see ``scan_images``; a file that cannot be read becomes a summary with an error."""
    try:
        header = read_header(path, options)
        notes: list[str] = []
        if decode or header.bits > 8:
            read_image(path, options, notes)
        else:
            check_whole(path, options)
    except ValueError as error:
        return ImageSummary(str(error))
    note = next((note for note in notes if note.startswith("uses")), "")
    return ImageSummary("", header.size, header.stored_size, header.orientation, header.pages, note)

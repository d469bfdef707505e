"""Looks at all masks and images of a data set once, before training, and keeps what it saw for later runs."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from jaxseg.ctrl_c import unfinished
from jaxseg.data.images import DEFAULTS, ReadOptions, check_whole, printable, read_header, read_image
from jaxseg.data.masks.reading import Mask, color_code, read_mask

VERSION = 1  # changes whenever a summary has other content
# Number of values from which a mask may hold instance numbers: of files with more than 8 bits, and with 8 bits.
MANY_VALUES = (1, 16)
MOST_VALUES = 4096  # values of one mask that are kept; photographs have more


class MaskSummary(NamedTuple):
    """What one mask has in it.

    Attributes:
      error: why it cannot be read; "" where it can. Then the other fields are empty.
      size: (height, width).
      kind: see ``reading.Mask``.
      is_lossy: see ``reading.Mask``.
      values: the different values, rising.
      counts: number of pixels of each value.
      inner: number of those pixels with four neighbors of the same value.
      colors: the color code of each value of an indexed image; () of another.
      single: how many values above 0 form one connected region each; -1 if unknown.
    """

    error: str
    size: tuple[int, int] = (0, 0)
    kind: str = ""
    is_lossy: bool = False
    values: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()
    inner: tuple[int, ...] = ()
    colors: tuple[int, ...] = ()
    single: int = -1


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


def scan_masks(paths: Sequence[Path], cache: Path) -> list[MaskSummary]:
    """Summarizes masks, in the order of ``paths``.

    Args:
      paths: the files.
      cache: the folder that keeps summaries of files that have not changed.
    """
    return _scan(paths, summarize_file, MaskSummary, "masks", cache)


def scan_images(paths: Sequence[Path], options: ReadOptions, cache: Path) -> list[ImageSummary]:
    """Reads the headers of images, in the order of ``paths``, and checks that files are whole.

    Files with more than 8 bits are decoded, since only that tells whether ``value_range`` suits them.
    """
    key = f"images {tuple(options)}"
    return _scan(paths, lambda path: summarize_image(path, options), ImageSummary, key, cache)


def summarize_file(path: Path) -> MaskSummary:
    """Summarizes one mask file; a file that cannot be read becomes a summary with an error."""
    try:
        return summarize(read_mask(path))
    except ValueError as error:
        return MaskSummary(str(error))


def summarize(mask: Mask) -> MaskSummary:
    """Summarizes one mask.

    Example:
      >>> summary = summarize(Mask(np.array([[0, 0, 0], [0, 0, 0], [0, 0, 7]], np.uint8), "gray"))
      >>> summary.values, summary.counts, summary.inner
      ((0, 7), (8, 1), (6, 0))
    """
    pixels = mask.values
    inner = np.ones(pixels.shape, bool)
    down, right = pixels[1:] == pixels[:-1], pixels[:, 1:] == pixels[:, :-1]
    inner[1:] &= down
    inner[:-1] &= down
    inner[:, 1:] &= right
    inner[:, :-1] &= right
    if pixels.dtype == np.uint8:
        all_counts = np.bincount(pixels.ravel(), minlength=256)
        all_inner = np.bincount(pixels[inner], minlength=256)
        values = np.flatnonzero(all_counts)
        counts, inside = all_counts[values], all_inner[values]
    else:
        values, places, counts = np.unique(pixels, return_inverse=True, return_counts=True)
        inside = np.bincount(places.ravel()[inner.ravel()], minlength=len(values))
    codes = color_code(mask.palette[values]).tolist() if len(mask.palette) > values.max(initial=0) else []
    kept = (tuple(int(number) for number in part[:MOST_VALUES]) for part in (values, counts, inside, codes))
    looks = mask.kind == "gray" and not mask.is_lossy and MANY_VALUES[pixels.dtype == np.uint8] < len(values)
    single = _count_single(pixels, values[values > 0][:MOST_VALUES]) if looks else -1
    return MaskSummary("", pixels.shape, mask.kind, mask.is_lossy, *kept, single)


def _count_single(pixels: np.ndarray, values: np.ndarray) -> int:
    """Returns how many of the values form one connected region each. Instance numbers do, gray edges do not."""
    single = 0
    for value in values:
        rows, columns = (np.flatnonzero((pixels == value).any(axis=axis)) for axis in (1, 0))
        part = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == value
        single += cv2.connectedComponents(part.astype(np.uint8), connectivity=8)[0] == 2
    return int(single)


def summarize_image(path: Path, options: ReadOptions = DEFAULTS) -> ImageSummary:
    """Reads the header of one image; a file that cannot be read becomes a summary with an error."""
    try:
        header = read_header(path, options)
        notes: list[str] = []
        if header.bits > 8:
            read_image(path, options, notes)
        else:
            check_whole(path, options)
    except ValueError as error:
        return ImageSummary(str(error))
    note = next((note for note in notes if note.startswith("uses")), "")
    return ImageSummary("", header.size, header.stored_size, header.orientation, header.pages, note)


def _scan(paths: Sequence[Path], summarize_path: Callable, kind: type, key: str, cache: Path) -> list:
    digest = hashlib.sha256(f"{VERSION} {key}".encode())
    for path in paths:
        try:
            state = path.stat()
            digest.update(os.fsencode(path) + f" {state.st_size} {state.st_mtime_ns}\n".encode())
        except OSError:
            digest.update(os.fsencode(path) + b" missing\n")
    kept = cache / f"{digest.hexdigest()[:16]}.scan.json"
    found = _load(kept, kind, len(paths))
    if found is None:
        # Decoding and numpy release Python's lock.
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
            found = list(threads.map(summarize_path, paths))
        _store(kept, found)
    return found


def _load(kept: Path, kind: type, count: int) -> list | None:
    try:
        rows = json.loads(kept.read_text())
        found = [kind(*(tuple(part) if isinstance(part, list) else part for part in row)) for row in rows]
    except (OSError, ValueError, TypeError):
        return None
    return found if len(found) == count else None


def _store(kept: Path, found: Sequence[tuple]) -> None:
    """Keeps summaries where that is possible. A run works without."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=kept.parent, delete=False) as file, unfinished(Path(file.name)):
            json.dump(found, file)
            file.flush()
            os.replace(file.name, kept)
    except OSError:
        pass


def first_error(summaries: Sequence[MaskSummary | ImageSummary], paths: Sequence[Path]) -> str:
    """Returns the first error in summaries and how many others there are; "" for none."""
    errors = [(summary.error, path) for summary, path in zip(summaries, paths, strict=True) if summary.error]
    if not errors:
        return ""
    others = ", ".join(printable(path) for _, path in errors[1:6])
    more = f" ({len(errors) - 1} more files have errors: {others}{' ...' if len(errors) > 6 else ''})"
    return errors[0][0] + (more if len(errors) > 1 else "")

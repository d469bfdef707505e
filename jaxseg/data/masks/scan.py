"""Looks at all masks of a data set once, before training."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from jaxseg.data.file_scan import scan_files
from jaxseg.data.masks.reading import Mask, color_code, read_mask

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


def scan_masks(paths: Sequence[Path], cache: Path) -> list[MaskSummary]:
    """Summarizes masks, in the order of ``paths``.

    Args:
      paths: the files.
      cache: the folder that keeps summaries of files that have not changed.
    """
    return scan_files(paths, summarize_file, MaskSummary, "masks", cache)


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

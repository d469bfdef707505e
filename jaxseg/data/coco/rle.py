"""Run-length encoding of masks in COCO's compressed form, by pycocotools, as results and annotation files hold it."""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask


def encode(masks: np.ndarray) -> list[dict[str, Any]]:
    """Masks ``[d, h, w]`` of 0 and 1, or bool, as ``{"size": [h, w], "counts": text}`` each; ready for JSON."""
    columns_first = np.asfortranarray(np.moveaxis(np.asarray(masks, np.uint8), 0, -1))
    return [{"size": list(code["size"]), "counts": code["counts"].decode()} for code in coco_mask.encode(columns_first)]


def encode_within(mask: np.ndarray, corner: tuple[int, int], image_size: tuple[int, int]) -> dict[str, Any]:
    """Encodes a mask that is zero outside a part, in time proportional to that part; the result is as in ``encode``.

    Args:
      mask: the part, bool ``[h, w]``.
      corner: row and column of its first pixel in the image.
      image_size: height and width of the image, in which the part lies.
    """
    (top, left), (height, width) = corner, image_size
    columns = np.zeros((mask.shape[1], mask.shape[0] + 2), bool)  # runs go down columns, with a 0 at both ends
    columns[:, 1:-1] = mask.T
    column, row = np.divmod(np.flatnonzero(columns[:, 1:] != columns[:, :-1]), mask.shape[0] + 1)
    bounds = (left + column) * height + top + row
    if len(mask) == height:  # a run may go on in the next column
        bounds, times = np.unique(bounds, return_counts=True)
        bounds = bounds[times == 1]
    lengths = np.diff(bounds, prepend=0, append=height * width)
    lengths = lengths if lengths[-1] else lengths[:-1]
    code = coco_mask.frPyObjects({"size": [height, width], "counts": lengths.tolist()}, height, width)
    return {"size": list(code["size"]), "counts": code["counts"].decode()}


def decode(codes: list[dict[str, Any]], image_size: tuple[int, int]) -> np.ndarray:
    """Decodes masks, uint8 ``[d, h, w]``, of an image of ``image_size`` (height, width).

    The decoder of pycocotools warns under numpy 2, and warnings cannot be silenced in one thread alone.
    """
    masks = np.zeros((len(codes), *image_size), np.uint8)
    for mask, code in zip(masks, codes, strict=True):
        lengths = run_lengths(code["counts"])
        runs = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
        mask[:] = runs.reshape(image_size[::-1]).T  # runs go down columns
    return masks


def encode_segmentation(segmentation: list | dict[str, Any], image_size: tuple[int, int]) -> dict[str, Any]:
    """Encodes a segmentation of an annotation file in compressed form.

    Args:
      segmentation: polygons ``[x1, y1, x2, y2, ...]``, which together are the mask; or run lengths,
        ``{"size": [h, w], "counts": ...}``, as a list of numbers or compressed.
      image_size: (height, width), for polygons.
    """
    if isinstance(segmentation, list):
        return coco_mask.merge(coco_mask.frPyObjects(segmentation, *image_size))
    if isinstance(segmentation["counts"], list):
        return coco_mask.frPyObjects(segmentation, *segmentation["size"])
    return segmentation


def run_lengths(counts: list[int] | str | bytes) -> np.ndarray:
    """Returns the lengths of runs of 0 and of 1 in turn, int64 ``[n]``, of counts in either form.

    In compressed counts, each length from the fourth on is the difference to the length two places before. Numbers
    are written in digits of 5 bits, the lowest first. A digit is a character, counted from "0"; its sixth bit says
    that another digit follows.
    """
    if isinstance(counts, list):
        return np.asarray(counts, np.int64)
    counts = counts.encode() if isinstance(counts, str) else counts
    characters = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    last = np.flatnonzero(characters & 32 == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    places = np.arange(len(characters)) - np.repeat(first, last - first + 1)
    lengths = np.add.reduceat((characters & 31) << 5 * places, first)
    negative = characters[last] & 16 != 0
    lengths -= negative.astype(np.int64) << 5 * (last - first + 1)
    lengths[1::2] = np.cumsum(lengths[1::2])
    lengths[2::2] = np.cumsum(lengths[2::2])
    return lengths


def box_of(code: dict[str, Any], image_size: tuple[int, int]) -> list[float]:
    """Returns the tight box ``[x, y, width, height]`` of a run-length code in either form; zeros for an empty mask.

    Args:
      code: ``{"size": [h, w], "counts": ...}``.
      image_size: (height, width).

    Example:
      >>> box_of({"size": [3, 4], "counts": [4, 1, 7]}, (3, 4))
      [1.0, 1.0, 1.0, 1.0]
    """
    (mask,) = decode([code], image_size)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return [0.0, 0.0, 0.0, 0.0]
    return [float(columns[0]), float(rows[0]), float(np.ptp(columns) + 1), float(np.ptp(rows) + 1)]

"""What the images and annotations of a split are like: numbers for ``jaxseg inspect``."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from jaxseg.types import IGNORE, Record, Source

MOST_READ = 200  # largest number of images per split that are read
MOST_HASHED = 5000  # largest number of images per split that are compared with other splits
THREADS = 4


class Statistics(NamedTuple):
    """Numbers of one split.

    Attributes:
      images: number of images.
      sizes: int32 ``[n, 2]``, height and width of the images, or of those that were read.
      read: number of images with pixels that were read, evenly spread over the split.
      class_names: one per class.
      palette: uint8 ``[k, 3]``.
      shares: float64 ``[k]``, share of each class in the labeled pixels that were read; None without label maps.
      objects: int64 ``[k]``, number of objects per class; None without objects.
      per_image: int64 ``[n]``, number of objects per image; None without objects.
      crowds: number of crowd regions.
      values: smallest, mean and largest pixel value of the images that were read.
      hashed: int64 ``[m]``, the images that have a hash.
      hashes: uint64 ``[m]``, perceptual hashes.
    """

    images: int
    sizes: np.ndarray
    read: int
    class_names: tuple[str, ...]
    palette: np.ndarray
    shares: np.ndarray | None
    objects: np.ndarray | None
    per_image: np.ndarray | None
    crowds: int
    values: tuple[float, float, float]
    hashed: np.ndarray
    hashes: np.ndarray


class _Read(NamedTuple):
    """What is kept of one image that was read."""

    size: tuple[int, int]
    pixels: np.ndarray | None  # per class, int64 [k]
    values: tuple[float, float, float]
    hash: int


def measure_split(source: Source, most_read: int = MOST_READ, most_hashed: int = MOST_HASHED) -> Statistics:
    """Returns the numbers of a split. It reads the pixels of some images only, and annotations of all."""
    count, classes = len(source.records), len(source.class_names)
    chosen = spread(count, most_read)
    with ThreadPoolExecutor(THREADS) as pool:
        read = list(pool.map(lambda index: _read(source.records[index], classes), chosen.tolist()))
        hashed = spread(count, most_hashed) if source.files else chosen
        if source.files:
            hashes = list(pool.map(hash_file, [source.files[index] for index in hashed]))
        else:
            hashes = [one.hash for one in read]
    catalogue = source.catalogue
    pixels = [one.pixels for one in read if one.pixels is not None]
    total = np.sum(pixels, axis=0, dtype=np.int64) if pixels else None
    objects, crowds = count_objects(source)
    lows, means, highs = zip(*(one.values for one in read), strict=True) if read else ((0,), (0,), (0,))
    return Statistics(
        images=count,
        sizes=_sizes(source, read),
        read=len(read),
        class_names=source.class_names,
        palette=np.asarray(source.palette),
        shares=total / max(total.sum(), 1) if total is not None else None,
        objects=objects,
        per_image=None if catalogue is None else np.asarray(catalogue.counts, np.int64),
        crowds=crowds,
        values=(float(min(lows)), float(np.mean(means)), float(max(highs))),
        hashed=np.asarray(hashed),
        hashes=np.asarray(hashes, np.uint64),
    )


def spread(count: int, most: int) -> np.ndarray:
    """Returns at most ``most`` of ``count`` indices, evenly spread.

    Example:
      >>> spread(10, 4).tolist()
      [0, 3, 6, 9]
    """
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)) if count else np.zeros(0, int)


def count_objects(source: Source) -> tuple[np.ndarray | None, int]:
    """Returns the number of objects per class, int64 ``[k]``, and of crowd regions; (None, 0) if unknown."""
    classes, findings, catalogue = len(source.class_names), source.findings, source.catalogue
    if findings is not None and findings.objects:
        return np.asarray(findings.objects, np.int64), findings.crowds
    if catalogue is None or catalogue.annotations is None:
        return None, 0
    class_of = {int(number): index for index, number in enumerate(catalogue.category_ids)}
    counts, crowds = np.zeros(classes, np.int64), 0
    for index in range(len(source.records)):
        for annotation in catalogue.annotations(index):
            crowds += bool(annotation.get("iscrowd"))
            counts[class_of[int(annotation["category_id"])]] += not annotation.get("iscrowd")
    return counts, crowds


def _read(record: Record, classes: int) -> _Read:
    pixels = None
    if record.label is not None:
        pixels = np.bincount(record.label.ravel(), minlength=IGNORE + 1)[:classes].astype(np.int64)
    image = record.image
    values = float(image.min()), float(image.mean()), float(image.max())
    return _Read(image.shape[:2], pixels, values, hash_gray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)))


def _sizes(source: Source, read: Sequence[_Read]) -> np.ndarray:
    if source.catalogue is not None:
        return np.asarray(source.catalogue.sizes, np.int32)
    if source.findings is not None and source.findings.sizes is not None:
        return np.asarray(source.findings.sizes, np.int32)
    return np.array([one.size for one in read], np.int32).reshape(-1, 2)


def hash_gray(gray: np.ndarray) -> int:
    """Returns a 64-bit perceptual hash of uint8 ``[h, w]``: whether each of 8 x 8 parts is darker than the next.

    Resized, recompressed and slightly brightened copies of an image have nearly the same hash.
    """
    small = cv2.resize(gray, (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
    return int.from_bytes(np.packbits(small[:, 1:] > small[:, :-1]).tobytes(), "big")


def hash_file(path: str | Path) -> int:
    """Returns the hash of an image file, decoded at a reduced size where its format allows; 0 if it is not readable."""
    try:
        with Image.open(path) as image:
            image.draft("L", (72, 64))
            return hash_gray(np.asarray(image.convert("L")))
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError):
        return 0

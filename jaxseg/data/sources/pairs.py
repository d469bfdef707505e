"""Data sets that are files side by side: an image, and a label map with values that a table turns into classes."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from jaxseg.data.exif import turn_upright
from jaxseg.data.images import DEFAULTS, ReadOptions, printable, read_header, read_image
from jaxseg.data.masks.instances import to_label, to_objects
from jaxseg.data.masks.reading import read_values
from jaxseg.data.report import Findings
from jaxseg.data.sources.file_lists import files_by_stem
from jaxseg.types import Record, Source

VERSION = 2  # increases when the same files are read in another way, so that old caches are not used
UNKNOWN = -1


class DataSet(NamedTuple):
    """What all splits of a data set have in common.

    Attributes:
      name: as ``config.data.name`` has it.
      classes: the name of each class, in order, and its color.
      values: the values that label files may hold, and what they mean: a class, or ``IGNORE``.
      origin: a sentence that says where to get the data set.
    """

    name: str
    classes: Mapping[str, Sequence[int]]
    values: Mapping[int, int]
    origin: str


class Pair(NamedTuple):
    """One image of a data set, by its files; without a label file, all of it is class 0."""

    name: str
    image: Path
    label: Path | None


class TableReader(NamedTuple):
    """A reader of label files by a table of their values.

    Attributes:
      read: a label file -> its values, uint8 ``[h, w]``; a function that pickles.
      table: int16 ``[256]``, the meaning of each value: a class, ``IGNORE`` or ``UNKNOWN``.
    """

    read: Callable[[Path], np.ndarray]
    table: np.ndarray

    def __call__(self, path: Path) -> np.ndarray:
        """Reads the label map, uint8 ``[h, w]``.

        Raises:
          ValueError: the file cannot be read, or has a value that the table does not know.
        """
        values = self.read(path)
        label = self.table[values]
        unknown = values[label == UNKNOWN]
        if unknown.size:
            known = ", ".join(map(str, np.flatnonzero(self.table != UNKNOWN)))
            raise ValueError(f"{printable(path)} has the value {unknown[0]}; expected only {known}")
        return label.astype(np.uint8)


class PairedRecords(Sequence):
    """Records that are read when they are asked for.

    Args:
      pairs: the files.
      options: how to read images.
      read: a label file -> class numbers, uint8 ``[h, w]``, or instance numbers; a function that pickles.
      tolerance: difference in pixels up to which a label map is resized to its image.
      are_instances: ``read`` returns instance numbers, which become objects and a label map.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        options: ReadOptions,
        read: Callable[[Path], np.ndarray],
        tolerance: int = 0,
        are_instances: bool = False,
    ):
        self.pairs = tuple(pairs)
        self.options = options
        self.read = read
        self.tolerance = tolerance
        self.are_instances = are_instances

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Record:
        pair = self.pairs[index]
        image = read_image(pair.image, self.options, notes=[])
        if pair.label is None:
            values = np.zeros(image.shape[:2], np.uint8)
        else:
            values = fit_to_image(self.read(pair.label), image.shape[:2], pair, self.options, self.tolerance)
        if self.are_instances:
            return Record(pair.name, image, to_label(values), to_objects(values))
        return Record(pair.name, image, values)

    def size(self, index: int) -> tuple[int, int]:
        """Returns height and width of an image, which is not decoded for that."""
        return read_header(self.pairs[index].image, self.options).size


def fit_to_image(
    values: np.ndarray, size: tuple[int, int], pair: Pair, options: ReadOptions, tolerance: int = 0
) -> np.ndarray:
    """Returns a label map in the size of its image.

    A label map that is drawn on the pixels as the file stores them is turned upright like the image.

    Args:
      values: the label map ``[h, w]``.
      size: height and width of the upright image.
      pair: the files of both.
      options: how the image is read.
      tolerance: difference in pixels up to which the label map is resized.

    Raises:
      ValueError: the sizes differ by more. The message names both files.
    """
    if values.shape == size:
        return values
    header = read_header(pair.image, options)
    if values.shape == header.stored_size:
        return turn_upright(values, header.orientation)
    if max(abs(a - b) for a, b in zip(values.shape, size, strict=True)) <= tolerance:
        kind = values.dtype if values.dtype == np.uint8 else np.float32
        resized = cv2.resize(values.astype(kind), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        return resized.astype(values.dtype)
    raise ValueError(
        f"{printable(pair.label or '')} is {values.shape[1]}x{values.shape[0]}, its image {printable(pair.image)} "
        f"{size[1]}x{size[0]}; expected the same size"
    )


def open_pairs(
    data_set: DataSet,
    pairs: Sequence[Pair],
    options: ReadOptions = DEFAULTS,
    read: Callable[[Path], np.ndarray] = read_values,
) -> Source:
    """Returns the source of some pairs of files.

    Args:
      data_set: what the files belong to.
      pairs: the files.
      options: how to read images.
      read: a label file -> its values, uint8 ``[h, w]``; a function that pickles.

    Raises:
      ValueError: a file is missing.
    """
    table = np.full(256, UNKNOWN, np.int16)
    table[list(data_set.values)] = list(data_set.values.values())
    mark = fingerprint(pairs, f"{table.tolist()} {tuple(options)}", data_set.origin)
    palette = np.array(list(data_set.classes.values()), np.uint8)
    records = PairedRecords(pairs, options, TableReader(read, table))
    return Source(
        records,
        tuple(data_set.classes),
        palette,
        f"{data_set.name} {mark}",
        findings=Findings(len(pairs), class_names=tuple(data_set.classes)),
        files=image_files(pairs),
        size_of=records.size,
    )


def image_files(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Returns the image file of each pair, as ``types.Source.files`` has them."""
    return tuple(str(pair.image) for pair in pairs)


def fingerprint(pairs: Sequence[Pair], meaning: str, origin: str) -> str:
    """Returns a short name for files and what their values mean: another one when a file changes.

    Raises:
      ValueError: a file is missing. The message ends with ``origin``.
    """
    digest = hashlib.sha256(f"{VERSION} {meaning}".encode())
    for pair in pairs:
        for path in (pair.image, pair.label):
            if path is None:
                digest.update(b"no label\n")
                continue
            try:
                state = path.stat()
            except FileNotFoundError:
                missing = sum(not one.exists() for pair in pairs for one in (pair.image, pair.label) if one)
                raise ValueError(
                    f"{printable(path)} is missing, the first of {missing} file(s) that are. {origin}"
                ) from None
            digest.update(os.fsencode(f"{pair.name} {path.name} {state.st_size} {state.st_mtime_ns}\n"))
    return digest.hexdigest()[:16]


def pairs_by_stem(image_folder: Path, label_folder: Path, origin: str) -> list[Pair]:
    """Returns the files of two folders, matched by their stems; endings may differ.

    Raises:
      ValueError: a file that has no counterpart.
    """
    images, labels = files_by_stem(image_folder, origin), files_by_stem(label_folder, origin)
    for have, other, folder in ((labels, images, image_folder), (images, labels, label_folder)):
        alone = [stem for stem in have if stem not in other]
        if alone:
            more = f" (and {len(alone) - 1} more)" if len(alone) > 1 else ""
            raise ValueError(f"{folder / alone[0]}.*{more} is missing, for {have[alone[0]]}. {origin}")
    return [Pair(stem, images[stem], labels[stem]) for stem in images]

"""Data sets that are files side by side: an image, and a label map whose values a table turns into classes."""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import ml_collections
import numpy as np

from jaxseg.data.exif import turn_upright
from jaxseg.data.images import DEFAULTS, ReadOptions, read_header, read_image
from jaxseg.data.masks import read_values
from jaxseg.types import Record, Source

VERSION = 1  # changes whenever the same files are read in another way, so that nothing kept is taken for new
UNKNOWN = -1


class DataSet(NamedTuple):
    """What all splits of a data set have in common.

    Attributes:
      name: as ``config.data.name`` has it.
      classes: the name of each class, in order, and its color.
      values: the values that label files may hold, and what they mean: a class, or ``IGNORE``.
      origin: a sentence that says where the data set is to be had, for those who lack some of it.
    """

    name: str
    classes: Mapping[str, Sequence[int]]
    values: Mapping[int, int]
    origin: str


class Pair(NamedTuple):
    """One image of a data set, by its files."""

    name: str
    image: Path
    label: Path


class PairedRecords(Sequence):
    """Records that are read when they are asked for.

    Args:
      pairs: the files.
      table: int16 ``[256]``, what each value of a label file means: a class, ``IGNORE`` or ``UNKNOWN``.
      options: how to read images.
      read: a label file -> its values, uint8 ``[h, w]``; a function that pickles.
    """

    def __init__(
        self, pairs: Sequence[Pair], table: np.ndarray, options: ReadOptions, read: Callable[[Path], np.ndarray]
    ):
        self.pairs = tuple(pairs)
        self.table = table
        self.options = options
        self.read = read

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Record:
        pair = self.pairs[index]
        image, values = read_image(pair.image, self.options, notes=[]), self.read(pair.label)
        if values.shape != image.shape[:2]:
            # Labels may be drawn on the pixels as the file stores them: then they are turned like the image.
            header = read_header(pair.image, self.options)
            if values.shape == header.stored_size:
                values = turn_upright(values, header.orientation)
        if values.shape != image.shape[:2]:
            raise ValueError(
                f"{pair.label} is {values.shape[1]}x{values.shape[0]}, its image {pair.image} "
                f"{image.shape[1]}x{image.shape[0]}; expected the same size"
            )
        return Record(pair.name, image, _to_classes(values, self.table, pair.label))


def open_pairs(
    data_set: DataSet,
    pairs: Sequence[Pair],
    options: ReadOptions = DEFAULTS,
    read: Callable[[Path], np.ndarray] = read_values,
) -> Source:
    """The source of some pairs of files.

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
    mark = _fingerprint(pairs, table, data_set.origin)
    palette = np.array(list(data_set.classes.values()), np.uint8)
    records = PairedRecords(pairs, table, options, read)
    return Source(
        records,
        tuple(data_set.classes),
        palette,
        f"{data_set.name} {mark} {tuple(options)}",
        files=tuple(str(pair.image) for pair in pairs),
    )


def _fingerprint(pairs: Sequence[Pair], table: np.ndarray, origin: str) -> str:
    """A short name for the files and what their values mean: another one when a file changes."""
    digest = hashlib.sha256(f"{VERSION} {table.tolist()}".encode())
    for pair in pairs:
        for path in (pair.image, pair.label):
            try:
                state = path.stat()
            except FileNotFoundError:
                missing = sum(not path.exists() for pair in pairs for path in (pair.image, pair.label))
                raise ValueError(f"{path} is missing, the first of {missing} file(s) that are. {origin}") from None
            digest.update(f"{pair.name} {path.name} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _to_classes(values: np.ndarray, table: np.ndarray, path: Path) -> np.ndarray:
    """The label map, uint8 ``[h, w]``, of a file's values.

    Raises:
      ValueError: a value that the table does not know.
    """
    label = table[values]
    unknown = values[label == UNKNOWN]
    if unknown.size:
        known = ", ".join(map(str, np.flatnonzero(table != UNKNOWN)))
        raise ValueError(f"{path} has the value {unknown[0]}; expected only {known}")
    return label.astype(np.uint8)


def source_folder(data_config: ml_collections.ConfigDict, origin: str) -> Path:
    """``config.data.source_dir``; ``origin`` is that of the data set.

    Raises:
      ValueError: it is empty, or not a folder.
    """
    given = data_config.source_dir
    folder = Path(given).expanduser()
    if not given or not folder.is_dir():
        wrong = f"{given}, which is not a folder" if given else "empty"
        raise ValueError(f"config.data.source_dir is {wrong}; set it to the folder of {data_config.name}. {origin}")
    return folder


def check_split(name: str, split: str, known: Iterable[str]) -> None:
    """Sees that the data set ``name`` has a split.

    Raises:
      ValueError: it does not.
    """
    if split not in known:
        raise ValueError(f"the data set {name} has no split {split!r}; expected one of {', '.join(known)}")


def files_by_stem(folder: Path, origin: str) -> dict[str, Path]:
    """The files of a folder by their names without ending, sorted; hidden files are left out.

    Raises:
      ValueError: there is no such folder, nothing is in it, or two files have the same stem.
    """
    if not folder.is_dir():
        raise ValueError(f"the folder {folder} is missing. {origin}")
    files = {}
    for path in sorted(Path(entry.path) for entry in os.scandir(folder) if entry.is_file()):
        if path.name.startswith("."):
            continue
        if path.stem in files:
            raise ValueError(f"{files[path.stem]} and {path} have the same stem; expected one file for each")
        files[path.stem] = path
    if not files:
        raise ValueError(f"the folder {folder} is empty. {origin}")
    return files


def pairs_by_stem(image_folder: Path, label_folder: Path, origin: str) -> list[Pair]:
    """The files of two folders, matched by their stems; endings may differ.

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


def read_list(path: Path, origin: str) -> list[str]:
    """The stems that a list names: the first word of each line, of which folders and ending are left out.

    Raises:
      ValueError: there is no such file, or it names nothing.
    """
    if not path.is_file():
        raise ValueError(f"{path} is missing. {origin}")
    names = [Path(line.split()[0]).stem for line in path.read_text().splitlines() if line.strip()]
    if not names:
        raise ValueError(f"{path} is empty. {origin}")
    return names


def color_map(classes: int) -> np.ndarray:
    """PASCAL VOC's colors, uint8 ``[classes, 3]``: the bits of a number, dealt to red, green and blue in turn."""
    bits = np.arange(classes, dtype=np.uint8)[:, None] >> np.arange(3, dtype=np.uint8)
    palette = np.zeros((classes, 3), np.uint8)
    for turn in range(3):
        palette |= (bits >> 3 * turn & 1) << 7 - turn
    return palette

"""A cache of decoded, resized examples, so that later epochs and later runs do not decode again.

One file per source and size with ``n`` slots, filled as examples are first asked for. All workers map the file, so each
has what the others decoded. A slot counts only if its checksum fits: a slot that is empty, half-written by another
worker, or torn by a crash is decoded again, and no locks are needed. The files may be deleted at any time.
"""

import hashlib
import itertools
import math
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxseg.data.resize import Size
from jaxseg.types import Example

VERSION = 1  # increases when examples are made in another way, so that older files are not used
CHECKSUM = 4  # bytes at the start of each slot


class CachedExamples(Sequence):
    """The same examples, decoded once.

    Args:
      examples: random access by index.
      sizes: (height, width) of the examples: one for all, or int ``[n, 2]``.
      fingerprint: of the source, see ``types.Source``.
      directory: where the file is kept.
      original_sizes: int ``[n, 2]``, (height, width) of ``Example.original``; None if the examples have none.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        sizes: Size | np.ndarray,
        fingerprint: str,
        directory: Path,
        original_sizes: np.ndarray | None = None,
    ):
        count = len(examples)
        self._examples = examples
        self._sizes = np.broadcast_to(np.array(sizes, np.int64), (count, 2))
        self._original_sizes = original_sizes
        originals = 0 if original_sizes is None else original_sizes.astype(np.int64).prod(axis=1)
        lengths = CHECKSUM + 4 * self._sizes.prod(axis=1) + originals
        self._ends = np.cumsum(lengths)
        shapes = _digest(sizes) if original_sizes is None else f"{_digest(sizes)} {_digest(original_sizes)}"
        key = hashlib.sha256(f"{VERSION} {fingerprint} {shapes} {count}".encode()).hexdigest()[:16]
        self._path = Path(directory) / f"{key}.examples"
        self._length = int(lengths.sum())
        _allocate(self._path, self._length)
        self._file = None

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Example:
        if self._file is None:
            # As a plain array: every slice of a map costs as much as the rest of a read.
            self._file = np.asarray(np.memmap(self._path, np.uint8, "r+", shape=self._length))
        end, shapes = int(self._ends[index]), self._shapes(index)
        lengths = [math.prod(shape) for shape in shapes]
        slot = self._file[end - CHECKSUM - sum(lengths) : end]
        pixels = np.array(slot[CHECKSUM:])
        if slot[:CHECKSUM].tobytes() != _checksum(pixels):
            example = self._examples[index]
            arrays = (example.image, example.label, example.original)[: len(shapes)]
            pixels = np.concatenate([array.ravel() for array in arrays])
            slot[CHECKSUM:] = pixels
            slot[:CHECKSUM] = np.frombuffer(_checksum(pixels), np.uint8)
        starts = itertools.accumulate(lengths, initial=0)
        image, label, *original = (
            pixels[start : start + length].reshape(shape)
            for start, length, shape in zip(starts, lengths, shapes, strict=False)
        )
        return Example(image, label, original=original[0] if original else None)

    def _shapes(self, index: int) -> list[tuple[int, ...]]:
        """Returns the shapes of the arrays of an example."""
        size = tuple(map(int, self._sizes[index]))
        shapes = [(*size, 3), size]
        return shapes if self._original_sizes is None else [*shapes, tuple(map(int, self._original_sizes[index]))]

    def __getstate__(self) -> dict:
        # Each process maps the file itself; a pickled map would carry all its contents.
        return self.__dict__ | {"_file": None}


def _digest(sizes: Size | np.ndarray) -> str:
    """Returns a text for the name of the file: a size itself, or the hash of many."""
    return str(sizes) if isinstance(sizes, tuple) else hashlib.sha256(sizes.astype(np.int64).tobytes()).hexdigest()


def _checksum(pixels: np.ndarray) -> bytes:
    # Four zeros stand for an empty slot.
    return (zlib.crc32(pixels) or 1).to_bytes(CHECKSUM, "little")


def _allocate(path: Path, size: int) -> None:
    """Makes the file ``size`` bytes long and keeps its content."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = path.stat().st_blocks * 512 if path.exists() else 0
        # Writing to a map on a full disk kills the process, so the space is reserved here.
        free = shutil.disk_usage(path.parent).free
        if size - kept > free:
            raise ValueError(
                f"the cache of decoded examples needs {(size - kept) / 1e6:.0f} MB in {path.parent}, where "
                f"{free / 1e6:.0f} MB are free; set config.data.dir to another disk or config.data.cache=False"
            )
        with path.open("ab") as file:
            file.truncate(size)
    except OSError as error:
        raise ValueError(
            f"cannot keep decoded examples in {path.parent} ({error}); set config.data.dir to a folder that can be "
            "written or config.data.cache=False"
        ) from error

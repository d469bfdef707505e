"""A cache of decoded, resized examples, so that later epochs and later runs do not decode again.

One file a source and size, ``n`` slots of equal length, filled as examples are first asked for. All workers map it, so
what one has decoded the others have. A slot counts only if its checksum fits: a slot that is empty, half-written by
another worker, or torn by a crash is decoded again, so no locks are needed. The files may be deleted at any time.
"""

import hashlib
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxseg.types import Example

VERSION = 1  # changes whenever examples are made in another way, so that none of the older ones is taken for new
CHECKSUM = 4  # bytes at the start of each slot


class CachedExamples(Sequence):
    """The same examples, decoded once.

    Args:
      examples: random access by index; all of one size.
      size: (height, width) of the examples.
      fingerprint: of the source, see ``types.Source``.
      directory: where the file is kept.
    """

    def __init__(self, examples: Sequence[Example], size: tuple[int, int], fingerprint: str, directory: Path):
        self._examples = examples
        self._size = size
        key = hashlib.sha256(f"{VERSION} {fingerprint} {size} {len(examples)}".encode()).hexdigest()[:16]
        self._path = Path(directory) / f"{key}.examples"
        self._shape = (len(examples), CHECKSUM + 4 * size[0] * size[1])
        _allocate(self._path, self._shape[0] * self._shape[1])
        self._slots = None

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Example:
        if self._slots is None:
            self._slots = np.memmap(self._path, np.uint8, "r+", shape=self._shape)
        slot = self._slots[index]
        pixels = np.array(slot[CHECKSUM:])
        if slot[:CHECKSUM].tobytes() != _checksum(pixels):
            example = self._examples[index]
            pixels = np.concatenate([example.image.ravel(), example.label.ravel()])
            slot[CHECKSUM:] = pixels
            slot[:CHECKSUM] = np.frombuffer(_checksum(pixels), np.uint8)
        image, label = np.split(pixels, [3 * self._size[0] * self._size[1]])
        return Example(image.reshape(*self._size, 3), label.reshape(self._size))

    def __getstate__(self) -> dict:
        # Each process maps the file itself; a pickled map would carry all its contents.
        return self.__dict__ | {"_slots": None}


def _checksum(pixels: np.ndarray) -> bytes:
    # Four zeros stand for an empty slot.
    return (zlib.crc32(pixels) or 1).to_bytes(CHECKSUM, "little")


def _allocate(path: Path, size: int) -> None:
    """Makes the file ``size`` bytes long; what it holds already stays."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = path.stat().st_blocks * 512 if path.exists() else 0
        # A map writes without asking, and a full disk kills the process that does: so ask here.
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

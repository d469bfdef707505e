"""Label maps of huge images as tiled TIFF files, which viewers open piece by piece."""

import pathlib
import struct
import zlib
from typing import BinaryIO

import numpy as np

SIDE = 512  # Side of a tile of the file, in pixels.
SHORT, LONG = 3, 4  # TIFF's types of 2 and 4 bytes.
DEFLATE, PALETTE = 8, 3


def write_tiled(path: pathlib.Path, label: np.ndarray, palette: np.ndarray) -> None:
    """Writes a label map as an indexed, compressed, tiled TIFF, one tile after the other.

    Args:
      path: the file.
      label: uint8 ``[h, w]``.
      palette: uint8 ``[n, 3]``.

    Raises:
      OSError: the file cannot be written.
    """
    height, width = label.shape
    offsets, counts = [], []
    with path.open("wb") as file:
        file.write(b"II*\0\0\0\0\0")  # The place of the directory is filled in at the end.
        for top in range(0, height, SIDE):
            for left in range(0, width, SIDE):
                tile = np.zeros((SIDE, SIDE), np.uint8)
                part = label[top : top + SIDE, left : left + SIDE]
                tile[: part.shape[0], : part.shape[1]] = part
                packed = zlib.compress(tile.tobytes(), 6)
                offsets.append(file.tell())
                counts.append(len(packed))
                file.write(packed + b"\0" * (len(packed) % 2))
        colors = np.zeros((256, 3), np.uint16)
        colors[: len(palette)] = np.asarray(palette, np.uint16) * 257
        entries = [
            (256, LONG, [width]),
            (257, LONG, [height]),
            (258, SHORT, [8]),
            (259, SHORT, [DEFLATE]),
            (262, SHORT, [PALETTE]),
            (277, SHORT, [1]),
            (320, SHORT, colors.T.ravel().tolist()),
            (322, LONG, [SIDE]),
            (323, LONG, [SIDE]),
            (324, LONG, offsets),
            (325, LONG, counts),
        ]
        records = [_record(file, *entry) for entry in entries]
        directory = file.tell()
        file.write(struct.pack("<H", len(records)) + b"".join(records) + b"\0\0\0\0")
        file.seek(4)
        file.write(struct.pack("<I", directory))


def _record(file: BinaryIO, tag: int, kind: int, values: list[int]) -> bytes:
    """Returns an entry of the directory; values that do not fit into it are written to the file before."""
    packed = struct.pack(f"<{len(values)}{'H' if kind == SHORT else 'I'}", *values)
    if len(packed) > 4:
        place = file.tell()
        file.write(packed)
        packed = struct.pack("<I", place)
    return struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")

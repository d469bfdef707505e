"""The orientation that a camera writes into EXIF, and arrays turned by it."""

import struct

import numpy as np

ORIENTATION = 0x0112
ORDERS = {b"II": "<", b"MM": ">"}
# TIFF's types of whole numbers. Some programs write the orientation as a byte or as a long.
TYPES = {1: "B", 3: "H", 4: "I"}


def orientation_of(block: bytes) -> int:
    r"""Reads the orientation, 1 to 8, from an EXIF block.

    Other entries of the block are not read, so that no odd entry can do harm.

    Args:
      block: as the file has it, with or without its heading "Exif".

    Returns:
      1, which means upright, where the block is empty, damaged or without a valid orientation.

    Example:
      >>> orientation_of(b"MM\0*\0\0\0\10\0\1" + b"\1\22\0\3\0\0\0\1\0\6\0\0")
      6
    """
    block = block.removeprefix(b"Exif\0\0")
    order = ORDERS.get(block[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", block, entry)
            if tag == ORIENTATION and kind in TYPES:
                (value,) = struct.unpack_from(f"{order}{TYPES[kind]}", block, entry + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass  # The block ends too early.
    return 1


def turn_upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Turns and mirrors an array ``[h, w, ...]`` so that a picture stored with an orientation is upright.

    Example:
      >>> turn_upright(np.array([[1, 2], [3, 4]]), 6).tolist()
      [[3, 1], [4, 2]]
    """
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)

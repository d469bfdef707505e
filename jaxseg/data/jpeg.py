"""The header of a JPEG file, read in a tenth of the time that opening it by Pillow takes."""

import struct
from typing import NamedTuple

from jaxseg.data.exif import orientation_of

START, END = b"\xff\xd8", b"\xff\xd9"
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of the segment that has the size
EXIF, SCAN = 0xE1, 0xDA


class JpegHeader(NamedTuple):
    """What the first segments of a JPEG file say.

    Attributes:
      size: (height, width) as stored.
      bits: bits per value.
      channels: 1 for gray, 3 for color, 4 for CMYK.
      orientation: EXIF's orientation, 1 to 8.
    """

    size: tuple[int, int]
    bits: int
    channels: int
    orientation: int


def read_jpeg_header(encoded: bytes) -> JpegHeader | None:
    """Reads the header of a JPEG file; None where it is no JPEG file, or an odd one."""
    if not encoded.startswith(START):
        return None
    place, orientation = 2, 1
    try:
        while True:
            fill, marker, length = struct.unpack_from(">BBH", encoded, place)
            if fill != 0xFF or marker in (0xFF, SCAN):
                return None
            if marker == EXIF and orientation == 1 and encoded.startswith(b"Exif\0\0", place + 4):
                orientation = orientation_of(encoded[place + 4 : place + 2 + length])
            if marker in FRAMES:
                bits, height, width, channels = struct.unpack_from(">BHHB", encoded, place + 4)
                return JpegHeader((height, width), bits, channels, orientation) if height and width else None
            place += 2 + length
    except struct.error:
        return None

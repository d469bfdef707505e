"""Reads text files as people's programs write them: with or without a byte-order mark, in several encodings."""

import unicodedata
from pathlib import Path

from jaxseg.data.images import printable

MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read_lines(path: Path) -> list[str]:
    """Reads the lines of a text file that are not empty, without white space at their ends.

    Letters with accents are composed, see ``composed``.

    Raises:
      ValueError: the file cannot be read.
    """
    return [composed(line.strip()) for line in read_text(path).splitlines() if line.strip()]


def read_text(path: Path) -> str:
    """Reads a text file. The encoding is UTF-16 or UTF-8 by its mark, else UTF-8 where that fits, else Latin-1.

    Raises:
      ValueError: the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{printable(path)} cannot be read: {error.strerror}") from error
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return content.decode("latin-1")


def composed(text: str) -> str:
    """Returns a text with composed letters, so that names from macOS, which decomposes them, match others.

    Example:
      >>> len(composed("u" + chr(0x308)))
      1
    """
    return unicodedata.normalize("NFC", text)

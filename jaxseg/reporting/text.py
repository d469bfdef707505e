"""Words in pictures, in every script for which a font is at hand."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Fonts of operating systems for scripts that DejaVu Sans lacks, such as Chinese. Pillow finds them by name.
SYSTEM_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "wqy-microhei.ttc",
    "DroidSansFallbackFull.ttf",
    "Arial Unicode.ttf",
    "PingFang.ttc",
    "msyh.ttc",
    "meiryo.ttc",
    "malgun.ttf",
)


def text_size(text: str, size: int) -> tuple[int, int]:
    """Returns the width and height in pixels of a line of text.

    Args:
      text: one line.
      size: height of the letters in pixels, from the top of "l" to the bottom of "p".
    """
    font = _font_for(text, size)
    return max(1, round(font.getlength(text))), sum(font.getmetrics())


def write_text(
    canvas: np.ndarray, text: str, corner: tuple[int, int], size: int, color: tuple[int, int, int] = (0, 0, 0)
) -> None:
    """Writes a line of text into ``canvas``, uint8 ``[h, w, 3]``, in place; parts outside of it are cut off.

    Args:
      canvas: the picture.
      text: one line.
      corner: the upper left corner of the text, as (x, y).
      size: height of the letters in pixels.
      color: color of the letters.
    """
    width, height = text_size(text, size)
    (left, top), (rows, columns) = corner, canvas.shape[:2]
    area = np.s_[max(top, 0) : min(top + height, rows), max(left, 0) : min(left + width + 1, columns)]
    if not canvas[area].size:
        return
    part = Image.fromarray(canvas[area])
    origin = min(left, 0), min(top, 0)
    ImageDraw.Draw(part).text(origin, text, fill=tuple(color), font=_font_for(text, size))
    canvas[area] = np.asarray(part)


def shorten_text(text: str, size: int, width: int) -> str:
    """Returns the text, or its beginning with "…", so that it is at most ``width`` pixels wide."""
    if text_size(text, size)[0] <= width:
        return text
    while text and text_size(text + "…", size)[0] > width:
        text = text[:-1]
    return text + "…"


def ink_on(color: np.ndarray) -> tuple[int, int, int]:
    """Returns black or white, the one that is easier to read on a background of ``color``."""
    return (0, 0, 0) if float(np.asarray(color) @ np.array([0.299, 0.587, 0.114])) > 140 else (255, 255, 255)


def _font_for(text: str, size: int) -> ImageFont.FreeTypeFont:
    return _font(_first_font(frozenset(text)), max(size, 6))


@lru_cache(64)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(name, size)


@lru_cache(4096)
def _first_font(letters: frozenset[str]) -> str:
    """Returns the first font that has all letters, or DejaVu Sans, which draws a box for a missing one."""
    names = (_dejavu(), *SYSTEM_FONTS)
    return next((name for name in names if letters <= _letters_of(name)), names[0])


@lru_cache(1)
def _dejavu() -> str:
    import matplotlib

    return str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf")


@lru_cache(16)
def _letters_of(name: str) -> frozenset[str]:
    """Returns the letters that a font can draw; none if the font is not installed."""
    from matplotlib.ft2font import FT2Font

    try:
        path = ImageFont.truetype(name, 12).path
        return frozenset(map(chr, FT2Font(path).get_charmap()))
    except (OSError, RuntimeError):
        return frozenset()

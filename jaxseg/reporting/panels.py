"""Panels side by side under titles, and legends."""

from collections.abc import Sequence

import numpy as np

from jaxseg.reporting.text import shorten_text, text_size, write_text

GAP = 4  # pixels between panels
LETTERS = 14  # pixels, height of letters in titles and legends
SMALL_LETTERS, NARROW = 9, 160  # pixels, letters in pictures that are narrower than this
SWATCH = (LETTERS - 2, LETTERS - 2)  # height and width of the color before a name in a legend, within its frame
WHITE = 255
SCREEN = 1200  # pixels; wider pictures are shown smaller, so their legends are enlarged


def arrange_panels(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str] = ()) -> np.ndarray:
    """Returns rows of panels on white, uint8 ``[h, w, 3]``; shorter rows are filled up with white on the right.

    Args:
      rows: panels, uint8 ``[h, w, 3]``; those of a row have equal heights.
      titles: a title per column, written above each row.
    """
    return _stack([_row(panels, titles) for panels in rows])


def _row(panels: Sequence[np.ndarray], titles: Sequence[str]) -> np.ndarray:
    headed = (
        [np.concatenate([_heading(title, panel.shape[1]), panel]) for title, panel in zip(titles, panels, strict=True)]
        if titles
        else panels
    )
    return np.concatenate([np.pad(one, ((GAP, 0), (GAP, 0), (0, 0)), constant_values=WHITE) for one in headed], axis=1)


def _heading(title: str, width: int) -> np.ndarray:
    line = np.full((text_size(title, LETTERS)[1] + 2, width, 3), WHITE, np.uint8)
    write_text(line, shorten_text(title, LETTERS, width), (0, 0), LETTERS)
    return line


def _stack(lines: Sequence[np.ndarray]) -> np.ndarray:
    width = max(line.shape[1] for line in lines) + GAP
    lines = [np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0)), constant_values=WHITE) for line in lines]
    return np.pad(np.concatenate(lines), ((0, GAP), (0, 0), (0, 0)), constant_values=WHITE)


def add_legend(picture: np.ndarray, names: Sequence[str], colors: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the picture with a legend below it, as wide as the picture and readable where it is shown as a whole.

    Args:
      picture: uint8 ``[h, w, 3]``.
      names: a name per entry, such as "cat 12.3 %"; without one, the picture is returned as it is.
      colors: for each entry a color ``[3]``, or a pattern uint8 ``[h, w, 3]`` of the size ``SWATCH``.
    """
    if not len(names):
        return picture
    width = picture.shape[1]
    scale = max(round(width / SCREEN), 1)
    legend = draw_legend(names, colors, width // scale).repeat(scale, axis=0).repeat(scale, axis=1)
    return np.concatenate([picture, np.pad(legend, ((0, 0), (0, width % scale), (0, 0)), constant_values=WHITE)])


def draw_legend(names: Sequence[str], colors: Sequence[np.ndarray], width: int) -> np.ndarray:
    """Returns names with their colors in as many lines as they take, uint8 ``[h, width, 3]``.

    On a narrow picture, letters are smaller before names are cut off.
    """
    height, swatch = text_size("", LETTERS)[1] + 4, LETTERS
    room = max(width - swatch - 3 * GAP, 1)
    cut_off = any(text_size(name, LETTERS)[0] > room for name in names)
    letters = SMALL_LETTERS if cut_off and width < NARROW else LETTERS
    entries = [shorten_text(name, letters, room) for name in names]
    widths = [swatch + 4 * GAP + text_size(name, letters)[0] for name in entries]
    corners, x, y = [], GAP, 0
    for entry in widths:
        if x > GAP and x + entry > width:
            x, y = GAP, y + height
        corners.append((x, y))
        x += entry
    canvas = np.full((y + height + GAP, width, 3), WHITE, np.uint8)
    for name, color, (x, y) in zip(entries, colors, corners, strict=True):
        canvas[y + 3 : y + 3 + swatch, x : x + swatch] = 128  # a thin frame, so that white colors have an edge
        canvas[y + 4 : y + 2 + swatch, x + 1 : x + swatch - 1] = color
        write_text(canvas, name, (x + swatch + GAP, y + LETTERS - letters), letters)
    return canvas

"""Decides what the values and colors of a data set's masks mean, from a summary of all of them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from jaxseg.data.images import printable
from jaxseg.data.masks.class_lists import ClassList
from jaxseg.data.masks.coding import GRAY, WHITE, coded_values
from jaxseg.data.masks.color_classes import decide_colors
from jaxseg.data.masks.decision import Colors, Decision, Values
from jaxseg.data.masks.number_classes import decide_numbers
from jaxseg.data.masks.reading import code_color, color_code, read_mask
from jaxseg.data.masks.scan import MaskSummary
from jaxseg.data.report import Notices
from jaxseg.types import IGNORE


def decide(
    summaries: Sequence[MaskSummary], paths: Sequence[Path], listed: ClassList | None, notices: Notices
) -> Decision:
    """Decides what the values of masks mean.

    Args:
      summaries: of all readable masks, whichever split they are in.
      paths: their files.
      listed: the classes that a file lists; None without such a file.
      notices: get what was decided beyond the obvious.

    Raises:
      ValueError: the values have no one meaning. The message names the cause and what would help.
    """
    found = _collect(summaries, paths)
    colors = [key for key in found.counts if key % GRAY or key // GRAY > WHITE]
    if found.by_color and (colors or (listed and listed.colors)):
        return decide_colors(found, listed, notices)
    if listed and listed.colors and not found.is_indexed:
        codes = {color_code(np.array(color)).item() for color in listed.colors}
        if {key * GRAY for key in found.counts} <= codes:
            return decide_colors(_collect(summaries, paths, by_color=True), listed, notices)
    grays = found
    if found.by_color:
        grays = found._replace(
            counts=Counter({key // GRAY: count for key, count in found.counts.items()}),
            inner=Counter({key // GRAY: count for key, count in found.inner.items()}),
            first={key // GRAY: path for key, path in found.first.items()},
            scale=GRAY,
        )
    decision = decide_numbers(grays, listed, notices, _palette_of(summaries, paths, grays))
    if decision.coding.class_of(WHITE * grays.scale) == IGNORE and not (listed and listed.values):
        _check_white(summaries, paths)
    return decision


def _check_white(summaries: Sequence[MaskSummary], paths: Sequence[Path]) -> None:
    """Raises ValueError where 255 may be a class: black and white masks are next to masks of class numbers.

    Where a mask has both 255 and class numbers, 255 means ignore.
    """
    whites, numbered = [], []
    for summary, path in zip(summaries, paths, strict=True):
        is_numbered = any(0 < value < WHITE for value in summary.values)
        if is_numbered and WHITE in summary.values:
            return
        if is_numbered:
            numbered.append(path)
        elif summary.kind == "gray" and summary.values == (0, WHITE):
            whites.append(path)
    if whites and numbered:
        raise ValueError(
            f"{printable(whites[0])}, the first of {len(whites)} mask(s), has the values 0 and 255, and "
            f"{printable(numbered[0])}, the first of {len(numbered)}, has class numbers: 255 may be a class or pixels "
            "to ignore. Write the class number in place of 255; or, to ignore it, add a file _classes.csv with a line "
            "such as '0, background' per class"
        )


def _collect(summaries: Sequence[MaskSummary], paths: Sequence[Path], by_color: bool = False) -> Values:
    kinds = {summary.kind for summary in summaries}
    by_color = by_color or "color" in kinds or _palettes_differ(summaries) or _is_gray_palette(summaries, kinds)
    others = {value for summary in summaries if summary.kind != "bits" for value in summary.values}
    # Files of one bit next to files of 0 and 255 have the same two classes.
    bit = WHITE if by_color or (WHITE in others and 1 not in others) else 1
    counts, inner, first = Counter(), Counter(), {}
    for summary, path in zip(summaries, paths, strict=True):
        for key, count, within in zip(coded_values(summary, by_color, bit), summary.counts, summary.inner, strict=True):
            counts[key] += count
            inner[key] += within
            first.setdefault(key, path)
    is_lossy = any(summary.is_lossy for summary in summaries)
    return Values(counts, inner, first, by_color, bit, is_lossy, kinds == {"indexed"})


def _palettes_differ(summaries: Iterable[MaskSummary]) -> bool:
    """Returns whether one index has different colors in different files; unused indices do not count."""
    colors: dict[int, int] = {}
    for summary in summaries:
        for value, color in zip(summary.values, summary.colors, strict=False):
            if colors.setdefault(value, color) != color:
                return True
    return False


def _is_gray_palette(summaries: Iterable[MaskSummary], kinds: set[str]) -> bool:
    """Returns whether indexed files next to gray files have nothing but grays in their palettes."""
    return "indexed" in kinds and len(kinds) > 1 and not any(code % GRAY for s in summaries for code in s.colors)


def _palette_of(summaries: Sequence[MaskSummary], paths: Sequence[Path], found: Values) -> Colors:
    """Returns the colors of indices where palettes agree; no colors of other masks."""
    if found.by_color or not found.is_indexed:
        return {}
    whole = dict(enumerate(tuple(color) for color in read_mask(paths[0]).palette.tolist()))
    used = {value: code_color(color) for s in summaries for value, color in zip(s.values, s.colors, strict=False)}
    return whole | used

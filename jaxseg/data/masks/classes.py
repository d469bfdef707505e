"""Decides what the values and colors of a data set's masks mean, from a summary of all of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxseg.data.coco.classes import distinct_colors
from jaxseg.data.images import printable
from jaxseg.data.masks.class_lists import BACKGROUND, ClassList
from jaxseg.data.masks.reading import Mask, code_color, color_code, read_mask
from jaxseg.data.masks.scan import MaskSummary
from jaxseg.data.report import Notices
from jaxseg.types import IGNORE

MOST_CLASSES = 32  # more colors or numbers than that need a list of classes
Colors = Mapping[int, tuple[int, int, int]]  # by value

GRAY = 0x010101  # times a gray value is the code of its color
VOC_BORDER = color_code(np.array([224, 224, 192])).item()  # the color of PASCAL VOC for pixels to ignore
DARK, LIGHT, HALF, WHITE, DEEP_WHITE = 32, 223, 128, 255, 65535
CLEAR = 0.9  # share of pixels near black or white from which a mask counts as two-valued
INNER = 0.2  # share of pixels within areas of their own value, up to which values count as edges
FEWEST_EDGES = 5  # different values from which masks can have gray edges
CAUSE = (
    "They look resized with interpolation, feathered, or saved as JPEG. Save the masks as PNG, resize them by nearest "
    "neighbor, or list all values in classes.txt"
)


class Coding(NamedTuple):
    """The meaning of values in mask files. Calling it reads a file as a label map.

    Attributes:
      by_color: values are color codes, whether a file has colors, a palette or gray values.
      bit: the gray value of a set bit in files of one bit.
      threshold: values from 128 are class 1, and others class 0.
      keys: the values that have a meaning, rising.
      classes: the meaning of each: a class or ``IGNORE``.
    """

    by_color: bool
    bit: int
    threshold: bool
    keys: tuple[int, ...]
    classes: tuple[int, ...]

    def __call__(self, path: Path) -> np.ndarray:
        """Reads a mask file as class numbers, uint8 ``[h, w]``.

        Raises:
          ValueError: the file cannot be read, or has a value without a meaning.
        """
        return self.to_label(read_mask(path), printable(path))

    def to_label(self, mask: Mask, name: str) -> np.ndarray:
        """Returns the class numbers of a mask, uint8 ``[h, w]``; ``name`` stands for the file in messages."""
        values = self._values(mask)
        if self.threshold:
            return (values >= HALF * (GRAY if self.by_color else 1)).astype(np.uint8)
        keys, classes = np.array(self.keys), np.array(self.classes, np.uint8)
        places = _places(keys, values)
        if (keys[places] != values).any():
            unknown = int(values[keys[places] != values][0])
            known = ", ".join(_shown(key, self.by_color) for key in self.keys)
            raise ValueError(f"{name} has the value {_shown(unknown, self.by_color)}; expected only {known}")
        return classes[places]

    def class_of(self, key: int) -> int:
        """Returns the meaning of one value, ``IGNORE`` for a value without one."""
        if self.threshold:
            return int(key >= HALF * (GRAY if self.by_color else 1))
        return self.classes[self.keys.index(key)] if key in self.keys else IGNORE

    def _values(self, mask: Mask) -> np.ndarray:
        if mask.kind == "bits":
            return mask.values.astype(np.int32) * (self.bit * (GRAY if self.by_color else 1))
        if not self.by_color or mask.kind == "color":
            return mask.values
        return color_code(mask.palette)[mask.values] if mask.kind == "indexed" else mask.values.astype(np.int32) * GRAY


class Decision(NamedTuple):
    """What the masks of a data set mean.

    Attributes:
      coding: from files to class numbers.
      class_names: one per class.
      palette: uint8 ``[k, 3]``.
    """

    coding: Coding
    class_names: tuple[str, ...]
    palette: np.ndarray


class _Values(NamedTuple):
    """The values of all masks of a data set, in one coding."""

    counts: Counter
    inner: Counter
    first: dict[int, Path]
    by_color: bool
    bit: int
    is_lossy: bool
    is_indexed: bool
    scale: int = 1  # what a number is multiplied by to be a key


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
        return _decide_colors(found, listed, notices)
    if listed and listed.colors and not found.is_indexed:
        codes = {color_code(np.array(color)).item() for color in listed.colors}
        if {key * GRAY for key in found.counts} <= codes:
            return _decide_colors(_collect(summaries, paths, by_color=True), listed, notices)
    grays = found
    if found.by_color:
        grays = found._replace(
            counts=Counter({key // GRAY: count for key, count in found.counts.items()}),
            inner=Counter({key // GRAY: count for key, count in found.inner.items()}),
            first={key // GRAY: path for key, path in found.first.items()},
            scale=GRAY,
        )
    return _decide_numbers(grays, listed, notices, _palette_of(summaries, paths, grays))


def keys_of(summary: MaskSummary, coding: Coding) -> tuple[int, ...]:
    """Returns the values of a summary as the coding has them."""
    return _keys(summary, coding.by_color, coding.bit)


def _keys(summary: MaskSummary, by_color: bool, bit: int) -> tuple[int, ...]:
    factor = GRAY if by_color else 1
    if summary.kind == "bits":
        return tuple(value * bit * factor for value in summary.values)
    if by_color and summary.kind == "indexed":
        return summary.colors
    return tuple(value * factor for value in summary.values) if summary.kind == "gray" else summary.values


def _collect(summaries: Sequence[MaskSummary], paths: Sequence[Path], by_color: bool = False) -> _Values:
    kinds = {summary.kind for summary in summaries}
    by_color = by_color or "color" in kinds or _palettes_differ(summaries) or _is_gray_palette(summaries, kinds)
    others = {value for summary in summaries if summary.kind != "bits" for value in summary.values}
    # Files of one bit next to files of 0 and 255 have the same two classes.
    bit = WHITE if by_color or (WHITE in others and 1 not in others) else 1
    counts, inner, first = Counter(), Counter(), {}
    for summary, path in zip(summaries, paths, strict=True):
        for key, count, within in zip(_keys(summary, by_color, bit), summary.counts, summary.inner, strict=True):
            counts[key] += count
            inner[key] += within
            first.setdefault(key, path)
    is_lossy = any(summary.is_lossy for summary in summaries)
    return _Values(counts, inner, first, by_color, bit, is_lossy, kinds == {"indexed"})


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


def _decide_numbers(found: _Values, listed: ClassList | None, notices: Notices, colors: Colors) -> Decision:
    """Decides for masks with one number per pixel."""
    values = sorted(found.counts)
    names = listed.names if listed else ()
    if len(names) == 1:
        names = (BACKGROUND, *names)
    folder = next(iter(found.first.values())).parent
    if listed and listed.values:
        table = dict(zip(listed.values, range(len(names)), strict=True))
        unknown = [value for value in values if value not in table and value != IGNORE]
        if unknown:
            raise _without_name(found, unknown[0], names, listed)
        return _decision(found, {IGNORE: IGNORE} | table, names, colors)
    if len(names) in (0, 2) and (set(values) in ({0, WHITE}, {0, DEEP_WHITE}) or (names and values == [WHITE])):
        return _decision(found, {0: 0, values[-1]: 1}, names or (BACKGROUND, "foreground"), colors)
    if len(names) in (0, 2) and _has_edges(found):
        between = sum(count for value, count in found.counts.items() if value not in (0, WHITE))
        notices.add(
            f"gray values between black and white in {between / sum(found.counts.values()):.2%} of the pixels of masks "
            "are taken as the nearer of the two classes",
            "different",
            next(path for value, path in found.first.items() if value not in (0, WHITE)),
            count=len(set(values) - {0, WHITE}),
            remedy="Masks saved as PNG and resized by nearest neighbor have none",
        )
        return _decision(found, {}, names or (BACKGROUND, "foreground"), colors, threshold=True)
    below = [value for value in values if value != IGNORE]
    if names:
        return _with_names(found, values, below, names, listed, notices, colors)
    if len(below) < 2 and len(values) < 2:
        raise ValueError(
            f"the masks in {printable(folder)} hold the number {values[0] if values else 'of no class'} only; expected "
            "at least two classes, or a file classes.txt that names every class, one per line"
        )
    if below == list(range(len(below))) and 2 <= len(below) <= MOST_CLASSES and not found.is_lossy:
        names = tuple(f"class {value}" for value in below)
        return _decision(found, {IGNORE: IGNORE} | {value: value for value in below}, names, colors)
    if len(values) > MOST_CLASSES or found.is_lossy:
        raise ValueError(
            f"the masks in {printable(folder)} hold {len(values)} gray values from {values[0]} to {values[-1]}, the "
            f"last in {printable(found.first[values[-1]])}; expected at most {MOST_CLASSES} class numbers. {CAUSE}"
        )
    return _in_order(found, values, below, (), notices, colors)


def _with_names(
    found: _Values,
    values: list[int],
    below: list[int],
    names: tuple[str, ...],
    listed: ClassList,
    notices: Notices,
    colors: Colors,
) -> Decision:
    if all(value < len(names) for value in below):
        table = {IGNORE: IGNORE} | {value: value for value in range(len(names))}
        return _decision(found, table, names, colors)
    # Numbers such as 0, 1, 3 with three names are class numbers, one of which has no name.
    are_levels = not any(0 < value < len(names) for value in below)
    if are_levels and not found.is_lossy and len(names) in (len(values), len(below)):
        return _in_order(found, values, below, names, notices, colors)
    raise _without_name(found, next(value for value in below if value >= len(names)), names, listed)


def _in_order(
    found: _Values,
    values: list[int],
    below: list[int],
    names: tuple[str, ...],
    notices: Notices,
    colors: Colors,
) -> Decision:
    """Takes values with gaps as classes in order."""
    # 255 means ignore next to class numbers, and a class next to gray levels such as 128.
    is_level = not found.is_indexed and max(below, default=0) >= DARK * 2
    taken = values if (len(names) == len(values) or (not names and is_level)) else below
    taken_names = names or tuple(f"value {value}" for value in taken)
    notices.add(
        f"with gaps in masks are classes in order: {', '.join(map(str, taken))}",
        "values",
        found.first[taken[-1]],
        count=len(taken),
        remedy="" if names else "A file classes.txt names them, one per line",
    )
    table = {IGNORE: IGNORE} | {value: number for number, value in enumerate(taken)}
    return _decision(found, table, taken_names, colors)


def _without_name(found: _Values, value: int, names: tuple[str, ...], listed: ClassList) -> ValueError:
    known = listed.values or range(len(names))
    cause = f" {CAUSE}" if len(found.counts) > MOST_CLASSES or found.is_lossy else ""
    return ValueError(
        f"{printable(found.first[value])} has the value {value}; expected only {', '.join(map(str, known))} and "
        f"{IGNORE}, as {printable(listed.path)} lists {len(known)} classes.{cause}"
    )


def _has_edges(found: _Values) -> bool:
    """Returns whether masks are black and white with gray edges, as resizing, feathering and JPEG make them."""
    values, total = sorted(found.counts), sum(found.counts.values())
    if found.is_indexed or values[-1] < LIGHT or values[0] > DARK or values[-1] > WHITE:
        return False
    clear = sum(count for value, count in found.counts.items() if value <= DARK or value >= LIGHT)
    if clear < CLEAR * total:
        return False
    if found.is_lossy:
        return True
    between = values[1:-1]
    inner = sum(found.inner[value] for value in between)
    return len(values) >= FEWEST_EDGES and inner <= INNER * sum(found.counts[value] for value in between)


def _decide_colors(found: _Values, listed: ClassList | None, notices: Notices) -> Decision:
    """Decides for masks with colors."""
    codes = sorted(found.counts)
    if listed is None:
        if len(codes) > MOST_CLASSES:
            raise ValueError(
                f"the masks have {len(codes)} colors, for example {_shown(codes[-1], True)} in "
                f"{printable(found.first[codes[-1]])}; expected at most {MOST_CLASSES}, or a file classes.txt with "
                f"'name r g b' per line. {CAUSE}"
            )
        taken = [code for code in codes if code != VOC_BORDER]
        names = tuple(BACKGROUND if code == 0 else f"color {_shown(code, True)}" for code in taken)
        notices.add(
            f"in masks are the classes: {', '.join(_shown(code, True) for code in taken)}",
            "colors",
            found.first[taken[-1]],
            count=len(taken),
            remedy="A file classes.txt with 'name r g b' per line names them",
        )
        table = {VOC_BORDER: IGNORE} | {code: number for number, code in enumerate(taken)}
        return _decision(found, table, names, {code: code_color(code) for code in taken})
    if not listed.colors:
        raise ValueError(
            f"{printable(listed.path)} lists names without colors, and the masks have {len(codes)} colors; expected "
            "'name r g b' per line"
        )
    names, colors = listed.names, listed.colors
    if 0 in found.counts and (0, 0, 0) not in colors and BACKGROUND not in names:
        names, colors = (BACKGROUND, *names), ((0, 0, 0), *colors)
        notices.add(
            f"have black, which {listed.path.name} does not list: it is the class background",
            "masks",
            found.first[0],
            remedy=f"A line 'background 0 0 0' in {listed.path.name} says the same",
        )
    table = {VOC_BORDER: IGNORE} | {color_code(np.array(color)).item(): n for n, color in enumerate(colors)}
    unknown = [code for code in codes if code not in table]
    if unknown:
        cause = f" {CAUSE}" if len(unknown) > MOST_CLASSES or found.is_lossy else ""
        raise ValueError(
            f"{printable(found.first[unknown[0]])} has the color {_shown(unknown[0], True)}, one of {len(unknown)} in "
            f"the masks that {printable(listed.path)} does not list; expected only listed colors.{cause}"
        )
    return _decision(found, table, names, {code: code_color(code) for code in table})


def _decision(
    found: _Values,
    table: dict[int, int],
    names: tuple[str, ...],
    colors: Colors,
    threshold: bool = False,
) -> Decision:
    """Puts a decision together; ``colors`` are by value, and classes without one get a generated color."""
    keys = sorted(table)
    coding = Coding(
        found.by_color,
        found.bit,
        threshold,
        tuple(key * found.scale for key in keys),
        tuple(table[key] for key in keys),
    )
    palette = np.concatenate([np.zeros((1, 3), np.uint8), distinct_colors(max(1, len(names) - 1))])
    for value, number in table.items():
        if value in colors and number != IGNORE:
            palette[number] = colors[value]
    return Decision(coding, names, palette[: len(names)])


def _palette_of(summaries: Sequence[MaskSummary], paths: Sequence[Path], found: _Values) -> Colors:
    """Returns the colors of indices where palettes agree; no colors of other masks."""
    if found.by_color or not found.is_indexed:
        return {}
    whole = dict(enumerate(tuple(color) for color in read_mask(paths[0]).palette.tolist()))
    used = {value: code_color(color) for s in summaries for value, color in zip(s.values, s.colors, strict=False)}
    return whole | used


def _places(keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the place of each value in the rising ``keys``; values without a place get any."""
    if values.dtype != np.uint8:
        return np.searchsorted(keys, values).clip(max=len(keys) - 1)
    table = np.zeros(256, np.intp)
    table[keys[keys < 256]] = np.flatnonzero(keys < 256)
    return table[values]


def _shown(key: int, by_color: bool) -> str:
    return " ".join(map(str, code_color(key))) if by_color else str(key)

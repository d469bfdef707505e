"""Decides what the numbers and gray values of a data set's masks mean."""

from jaxseg.data.images import printable
from jaxseg.data.masks.class_lists import BACKGROUND, ClassList
from jaxseg.data.masks.coding import DARK, DEEP_WHITE, LIGHT, WHITE
from jaxseg.data.masks.decision import CAUSE, MOST_CLASSES, Colors, Decision, Values, make_decision
from jaxseg.data.report import Notices
from jaxseg.types import IGNORE

CLEAR = 0.9  # share of pixels near black or white from which a mask counts as two-valued
INNER = 0.2  # share of pixels within areas of their own value, up to which values count as edges
FEWEST_EDGES = 5  # different values from which masks can have gray edges


def decide_numbers(found: Values, listed: ClassList | None, notices: Notices, colors: Colors) -> Decision:
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
        return make_decision(found, {IGNORE: IGNORE} | table, names, colors)
    if len(names) in (0, 2) and (set(values) in ({0, WHITE}, {0, DEEP_WHITE}) or (names and values == [WHITE])):
        return make_decision(found, {0: 0, values[-1]: 1}, names or (BACKGROUND, "foreground"), colors)
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
        return make_decision(found, {}, names or (BACKGROUND, "foreground"), colors, threshold=True)
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
        return make_decision(found, {IGNORE: IGNORE} | {value: value for value in below}, names, colors)
    if len(values) > MOST_CLASSES or found.is_lossy:
        raise ValueError(
            f"the masks in {printable(folder)} hold {len(values)} gray values from {values[0]} to {values[-1]}, the "
            f"last in {printable(found.first[values[-1]])}; expected at most {MOST_CLASSES} class numbers. {CAUSE}"
        )
    return _in_order(found, values, below, (), notices, colors)


def _with_names(
    found: Values,
    values: list[int],
    below: list[int],
    names: tuple[str, ...],
    listed: ClassList,
    notices: Notices,
    colors: Colors,
) -> Decision:
    if all(value < len(names) for value in below):
        table = {IGNORE: IGNORE} | {value: value for value in range(len(names))}
        return make_decision(found, table, names, colors)
    # Numbers such as 0, 1, 3 with three names are class numbers, and one has no name.
    are_levels = not any(0 < value < len(names) for value in below)
    if are_levels and not found.is_lossy and len(names) in (len(values), len(below)):
        return _in_order(found, values, below, names, notices, colors)
    raise _without_name(found, next(value for value in below if value >= len(names)), names, listed)


def _in_order(
    found: Values,
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
        is_problem=not names,
    )
    table = {IGNORE: IGNORE} | {value: number for number, value in enumerate(taken)}
    return make_decision(found, table, taken_names, colors)


def _without_name(found: Values, value: int, names: tuple[str, ...], listed: ClassList) -> ValueError:
    known = listed.values or range(len(names))
    cause = f" {CAUSE}" if len(found.counts) > MOST_CLASSES or found.is_lossy else ""
    return ValueError(
        f"{printable(found.first[value])} has the value {value}; expected only {', '.join(map(str, known))} and "
        f"{IGNORE}, as {printable(listed.path)} lists {len(known)} classes.{cause}"
    )


def _has_edges(found: Values) -> bool:
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

"""Decides what the colors of a data set's masks mean."""

import numpy as np

from jaxseg.data.images import printable
from jaxseg.data.masks.class_lists import BACKGROUND, ClassList
from jaxseg.data.masks.coding import format_value
from jaxseg.data.masks.decision import CAUSE, MOST_CLASSES, Decision, Values, make_decision
from jaxseg.data.masks.reading import code_color, color_code
from jaxseg.data.report import Notices
from jaxseg.types import IGNORE

VOC_BORDER = color_code(np.array([224, 224, 192])).item()  # the color of PASCAL VOC for pixels to ignore


def decide_colors(found: Values, listed: ClassList | None, notices: Notices) -> Decision:
    """Decides for masks with colors."""
    codes = sorted(found.counts)
    if listed is None:
        if len(codes) > MOST_CLASSES:
            raise ValueError(
                f"the masks have {len(codes)} colors, for example {format_value(codes[-1], True)} in "
                f"{printable(found.first[codes[-1]])}; expected at most {MOST_CLASSES}, or a file classes.txt with "
                f"'name r g b' per line. {CAUSE}"
            )
        taken = [code for code in codes if code != VOC_BORDER]
        names = tuple(BACKGROUND if code == 0 else f"color {format_value(code, True)}" for code in taken)
        notices.add(
            f"in masks are the classes: {', '.join(format_value(code, True) for code in taken)}",
            "colors",
            found.first[taken[-1]],
            count=len(taken),
            remedy="A file classes.txt with 'name r g b' per line names them",
        )
        table = {VOC_BORDER: IGNORE} | {code: number for number, code in enumerate(taken)}
        return make_decision(found, table, names, {code: code_color(code) for code in taken})
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
            f"{printable(found.first[unknown[0]])} has the color {format_value(unknown[0], True)}, one of "
            f"{len(unknown)} in the masks that {printable(listed.path)} does not list; expected only "
            f"listed colors.{cause}"
        )
    return make_decision(found, table, names, {code: code_color(code) for code in table})

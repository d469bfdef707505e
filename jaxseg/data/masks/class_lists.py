"""Reads the names of classes, with their colors or numbers, from the files that annotation tools write."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxseg.data.text_files import read_lines
from jaxseg.types import IGNORE

Color = tuple[int, int, int]

CLASSES, ROBOFLOW, CVAT, LABELS = "classes.txt", "_classes.csv", "labelmap.txt", "labels.txt"
COLORED = re.compile(r"^(.*?)[\s,;:]+(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})$")
IGNORED = ("__ignore__", "_ignore_")
BACKGROUND = "background"


class ClassList(NamedTuple):
    """The classes of a data set as a file lists them.

    Attributes:
      path: the file.
      names: one per class.
      colors: one per class; () where the file has none.
      values: the number of each class in the masks; () where the file has none, so that classes count from 0.
    """

    path: Path
    names: tuple[str, ...]
    colors: tuple[Color, ...] = ()
    values: tuple[int, ...] = ()


def find_class_list(folders: Sequence[Path]) -> ClassList | None:
    """Reads the first list of classes in some folders; None where there is none.

    Known are ``classes.txt`` with a name, or a name and a color, per line; CVAT's ``labelmap.txt``; Roboflow's
    ``_classes.csv``; and ``labels.txt`` with a name per line.

    Raises:
      ValueError: the file cannot be understood.
    """
    readers = {CLASSES: read_names, CVAT: read_cvat, ROBOFLOW: read_roboflow, LABELS: read_names}
    for folder in folders:
        for name, read in readers.items():
            if (folder / name).is_file():
                return _checked(read(folder / name))
    return None


def read_names(path: Path) -> ClassList:
    """Reads a list with one class per line: ``name``, or ``name r g b`` in all lines."""
    lines = [line for line in read_lines(path) if line not in IGNORED]
    matches = [COLORED.match(line) for line in lines]
    if any(matches) and all(matches):
        colors = tuple(tuple(int(part) for part in match.groups()[1:]) for match in matches)
        return ClassList(path, tuple(match.group(1) for match in matches), colors)
    if any(matches) and sum(map(bool, matches)) > len(lines) / 2:
        odd = next(line for line, match in zip(lines, matches, strict=True) if not match)
        raise ValueError(f"{path} has the line {odd!r}; expected a name and three numbers as in the other lines")
    return ClassList(path, tuple(BACKGROUND if line == "_background_" else line for line in lines))


def read_cvat(path: Path) -> ClassList:
    """Reads CVAT's ``labelmap.txt``: ``name:r,g,b:parts:actions`` per line. A file of names alone works, too."""
    lines = [line for line in read_lines(path) if not line.startswith("#")]
    if not all(":" in line for line in lines):
        return read_names(path)
    names, colors = [], []
    for line in lines:
        name, color = line.split(":")[:2]
        parts = color.split(",")
        if len(parts) != 3 or not all(part.strip().isdecimal() for part in parts):
            raise ValueError(f"{path} has the line {line!r}; expected a line such as road:128,64,128::")
        names.append(name)
        colors.append(tuple(int(part) for part in parts))
    return ClassList(path, tuple(names), tuple(colors))


def read_roboflow(path: Path) -> ClassList:
    """Reads Roboflow's ``_classes.csv``: a heading, then ``value, name`` per line."""
    rows = [[part.strip() for part in line.split(",", 1)] for line in read_lines(path)]
    rows = [row for row in rows if len(row) == 2 and row[0].isdecimal()]
    if not rows:
        raise ValueError(f"{path} has no line such as '0, background'")
    return ClassList(path, tuple(name for _, name in rows), (), tuple(int(value) for value, _ in rows))


def _checked(classes: ClassList) -> ClassList:
    path, names, colors, values = classes
    if len(set(names)) < len(names) or not 1 <= len(names) <= IGNORE:
        raise ValueError(
            f"{path} has {len(set(names))} different names in {len(names)} lines; expected 1 to 255 names, each once"
        )
    if len(set(colors)) < len(colors) or any(part > 255 for color in colors for part in color):
        raise ValueError(f"{path} has the same color twice or a color above 255; expected one color 0 to 255 per class")
    if len(set(values)) < len(values):
        raise ValueError(f"{path} has the same number twice; expected one number per class")
    return classes

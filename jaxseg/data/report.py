"""What was found in the files of a split: counts, sizes, classes, and notices about what is unusual.

A source builds a ``Findings`` while it opens its files and puts it into ``types.Source.findings``. The run prints it
before compilation and writes it to ``data.json``. A source never prints or warns by itself: it adds a notice.

How a source uses it::

    notices = Notices()
    for path in images_without_mask:
        notices.add("have no mask and are left out", "images", path, of=240, remedy="data.unlabeled=background ...")
    findings = Findings(images=228, sizes=..., class_names=..., shares=..., notices=notices.all())

which prints::

    train: 228 images, 32x40 to 64x80; background 0.71, pet 0.29 of the pixels
      12 of 240 images have no mask and are left out, the first is images/a.jpg. data.unlabeled=background ...
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxseg.data.images import printable
from jaxseg.storage import write_text
from jaxseg.types import Source


class Notice(NamedTuple):
    """One kind of unusual thing in a split, and how often it occurs.

    Attributes:
      text: what they are or what happens to them, as the rest of a sentence: "have no mask and are left out".
      noun: what is counted: "images", "masks", "annotations".
      count: how many.
      total: out of how many; 0 where that says nothing.
      first: the first file or annotation.
      remedy: a sentence that names the setting that would help; "" for none.
      is_problem: whether it may be wrong; False for what is only good to know, such as how a folder was read.
    """

    text: str
    noun: str
    count: int
    total: int
    first: str
    remedy: str
    is_problem: bool = True

    def __str__(self) -> str:
        count = f"{self.count} of {self.total}" if self.total else str(self.count)
        remedy = f". {self.remedy}" if self.remedy else ""
        return f"{count} {self.noun} {self.text}, the first is {self.first}{remedy}"


class Notices:
    """A counter of notices by kind that keeps the first file of each.

    Example:
      >>> notices = Notices()
      >>> for name in ("a.jpg", "b.jpg"):
      ...     notices.add("have no mask and are left out", "images", name, of=9)
      >>> print(*notices.all())
      2 of 9 images have no mask and are left out, the first is a.jpg
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Notice] = {}

    def add(
        self,
        text: str,
        noun: str,
        first: str | os.PathLike | int,
        *,
        count: int = 1,
        of: int = 0,
        remedy: str = "",
        is_problem: bool = True,
    ) -> None:
        """Counts one more of a kind, or ``count`` more.

        Args:
          text: the rest of the sentence after the noun, see ``Notice``; text and noun together are the kind.
          noun: what is counted, in the plural.
          first: the file, or the id of the annotation.
          count: how many are added.
          of: out of how many; 0 leaves it out.
          remedy: a sentence that names the setting that would help.
          is_problem: see ``Notice``.
        """
        if not count:
            return
        before = self._found.get((noun, text))
        name = str(first) if isinstance(first, int) else printable(first)
        first, remedy = (before.first, before.remedy) if before else (name, remedy)
        count += before.count if before else 0
        self._found[noun, text] = Notice(text, noun, count, of, first, remedy, is_problem)

    def extend(self, other: "Notices") -> None:
        """Counts all that another one has counted."""
        for notice in other.all():
            self.add(
                notice.text,
                notice.noun,
                notice.first,
                count=notice.count,
                of=notice.total,
                remedy=notice.remedy,
                is_problem=notice.is_problem,
            )

    def all(self) -> tuple[Notice, ...]:
        """Returns the notices in the order in which their kinds were first added."""
        return tuple(self._found.values())


class Findings(NamedTuple):
    """What was found in the files of a split. Fields that do not apply keep their defaults.

    Attributes:
      images: number of images in the split.
      sizes: int ``[n, 2]``, height and width of each image, or of a part of them; None if unknown.
      class_names: one per class.
      shares: the share of labeled pixels of each class; empty for detectors and if not counted.
      counted: number of images that ``shares`` or ``objects`` is taken from; 0 means all images.
      objects: number of objects of each class; empty for semantic data. Class 0 is the background.
      crowds: number of crowd regions.
      empty: number of images without an object, or with a mask of background only.
      notices: what is unusual, with counts.
    """

    images: int
    sizes: Sequence[tuple[int, int]] | np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    counted: int = 0
    objects: tuple[int, ...] = ()
    crowds: int = 0
    empty: int = 0
    notices: tuple[Notice, ...] = ()


def findings_of(source: Source) -> Findings:
    """Returns what a source found in its files; where it did not look, what it knows without its files."""
    if source.findings is not None:
        return source.findings
    sizes = None if source.catalogue is None else source.catalogue.sizes
    return Findings(images=len(source.records), sizes=sizes, class_names=source.class_names)


def write_data_json(folder: Path, content: Mapping[str, Any]) -> None:
    """Writes what was read as ``data.json``, whole or not at all."""
    write_text(folder / "data.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def describe_split(split: str, findings: Findings) -> list[str]:
    """Returns the lines that a run prints about a split: one with its content, and one per notice."""
    parts = [f"{findings.images} images"]
    span = size_span(findings)
    if span:
        (low, high) = (f"{width}x{height}" for height, width in span)
        parts[0] += f" of {low} pixels" if low == high else f" of {low} to {high} pixels"
    if findings.objects:
        named = zip(findings.class_names[1:], findings.objects[1:], strict=True)
        taken = f" in {findings.counted} images" if 0 < findings.counted < findings.images else ""
        parts.append(f"{sum(findings.objects)} objects{taken}: " + _listed(f"{name} {count}" for name, count in named))
    if findings.shares:
        named = zip(findings.class_names, findings.shares, strict=True)
        taken = f" of {findings.counted} masks" if 0 < findings.counted < findings.images else ""
        parts.append(f"pixels{taken}: " + _listed(f"{name} {share:.1%}" for name, share in named))
    if findings.crowds:
        parts.append(f"{findings.crowds} crowd regions")
    if findings.empty:
        parts.append(f"{findings.empty} without an object")
    said = [f"  {split}: {'' if notice.is_problem else 'note: '}{notice}" for notice in findings.notices]
    return [f"{split}: {'; '.join(parts)}", *said]


def to_json(findings: Findings) -> Mapping[str, Any]:
    """Returns the findings as plain numbers, lists and strings for ``data.json``."""
    span = size_span(findings)
    return {
        "images": findings.images,
        "smallest": list(span[0]) if span else None,
        "largest": list(span[1]) if span else None,
        "class_names": list(findings.class_names),
        "shares": [round(float(share), 6) for share in findings.shares],
        "counted": findings.counted,
        "objects": [int(count) for count in findings.objects],
        "crowds": findings.crowds,
        "empty": findings.empty,
        "notices": [notice._asdict() for notice in findings.notices],
    }


def size_span(findings: Findings) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Returns (height, width) of the images with the fewest and the most pixels; None if unknown."""
    if findings.sizes is None or len(findings.sizes) == 0:
        return None
    sizes = sorted((int(height) * int(width), int(height), int(width)) for height, width in findings.sizes)
    return sizes[0][1:], sizes[-1][1:]


def _listed(parts: Any, most: int = 12) -> str:
    """Returns the parts with commas; of many, the first ones and how many follow."""
    parts = list(parts)
    more = f", and {len(parts) - most} more classes" if len(parts) > most else ""
    return ", ".join(parts[:most]) + more

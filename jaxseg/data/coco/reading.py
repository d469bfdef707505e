"""One annotation at a time: what can be used of it, and what is said about it.

An annotation that has only one possible meaning is taken, with one counted notice per kind. One without a meaning is
left out, with one counted notice per reason. Nothing can go wrong in the middle of a run.
"""

from collections.abc import Mapping
from typing import Any

from jaxseg.data.coco import segmentations
from jaxseg.data.report import Notices

Size = tuple[int, int]
Annotation = dict[str, Any]

TOLERANCE = 1.0  # pixels by which a box may leave its image without a notice, as rounding makes it
# Intersection over union of a box and the box of its polygons.
SURE_OVERLAP = 0.8  # from here on, the two agree
LEAST_OVERLAP = 0.5  # below, the two contradict each other
NEAR_OVERLAP = 0.95  # from here on, a box that is read as two corners is that of the polygons
CUT = "have a box that leaves the image, and are cut off"
THIN = "have a polygon without three points, which is left out"
AREA = "have an area that is not a number, and get the area of their mask"
NO_BOX = "have no box, and get that of their segmentation"
NO_MASK = "have a box but no segmentation: they train the box branch only, and the mask loss leaves them out"
NESTED = "have polygons or run lengths nested in an unusual way, which are read"
RELATIVE = "have coordinates from 0 to 1, which are scaled to the image"
CORNERS = "have corners in place of width and height in bbox, and get the box of their polygons"
CONTRADICTION = "have a box that contradicts their polygons, and get the box of the polygons"
NULL_CROWD = "have an iscrowd that is null or text, which is read"


class AnnotationReader:
    """A reader of annotations in COCO's form that counts what is unusual about them.

    Args:
      categories: the numbers of the known categories.
      notices: gets the counts.
      has_boxes: whether the format gives every object a box. Only then is one that is missing worth a notice.
    """

    def __init__(self, categories: Mapping[int, Any], notices: Notices, has_boxes: bool = True):
        self.categories = categories
        self.notices = notices
        self.has_boxes = has_boxes

    def read(self, entry: Annotation, image_id: int, category_id: int | None, size: Size) -> Annotation | None:
        """Returns what can be used of an annotation, or None.

        Args:
          entry: with ``bbox``, ``segmentation`` or both, and perhaps ``id``, ``iscrowd`` and ``area``.
          image_id: number of its image.
          category_id: number of its category; None where its own id is unknown.
          size: (height, width) of its image.
        """
        said: list[str] = []
        used: Annotation = {"id": entry.get("id"), "image_id": image_id, "category_id": category_id}
        fault = "their category_id is that of no category" if category_id not in self.categories else ""
        fault = fault or _read_shape(entry, size, used, said) or _read_crowd(entry, used, said)
        if fault:
            self.notices.add(f"are left out: {fault}", "annotations", _name(entry))
            return None
        area = entry.get("area")
        if "area" in entry:
            if isinstance(area, int | float) and not isinstance(area, bool) and area >= 0:
                used["area"] = area
            else:
                said.append(AREA)
        for text in said:
            if text == NO_BOX and not self.has_boxes:
                continue
            self.notices.add(text, "annotations", _name(entry))
        return used


def _read_shape(entry: Annotation, size: Size, used: Annotation, said: list[str]) -> str:
    """Reads the box and the segmentation of an annotation; returns a fault, or "" where there is none."""
    given = entry.get("segmentation")
    segmentation, box = segmentations.unify(given), entry.get("bbox")
    if segmentation is None and box is None:
        return "they have neither a box nor a segmentation"
    if segmentation is not None:
        fault = segmentations.fault_of(segmentation, size)
        if fault:
            return fault
        if segmentation is not given and segmentation != given:
            said.append(NESTED)
        if isinstance(segmentation, list):
            segmentation = _whole_polygons(segmentation, size, said)
        used["segmentation"] = segmentation
    box, fault = _numbers(box)
    if segmentation is None:
        said.append(NO_MASK)
    elif box is None and not fault:
        box = segmentations.extent(segmentation, size)
        said.append(NO_BOX)
    elif not fault and isinstance(segmentation, list):
        box = _consistent(box, segmentation, size, said)
    if fault:
        return fault
    if segmentation is None and _is_relative(box, size):
        box = [side * size[1 - i % 2] for i, side in enumerate(box)]
        said.append(RELATIVE)
    used["bbox"] = box
    return _fault_of_box(box, size, said)


def _read_crowd(entry: Annotation, used: Annotation, said: list[str]) -> str:
    """Reads ``iscrowd``; returns a fault, or "" where there is none."""
    if "iscrowd" not in entry:
        return ""
    crowd = entry["iscrowd"]
    if crowd is None or (isinstance(crowd, str) and crowd.strip().lower() in ("0", "1", "true", "false")):
        said.append(NULL_CROWD)
        crowd = str(crowd).strip().lower() in ("1", "true")
    if crowd not in (0, 1):
        return "their iscrowd is neither 0 nor 1"
    used["iscrowd"] = int(crowd)
    return ""


def _whole_polygons(polygons: list[list[float]], size: Size, said: list[str]) -> list[list[float]]:
    """Returns the polygons with three points or more, in pixels."""
    whole = [polygon for polygon in polygons if len(polygon) >= segmentations.CORNERS]
    if len(whole) < len(polygons):
        said.append(THIN)
    if max(map(max, whole)) <= 1 < min(size) - 1 and min(map(min, whole)) >= 0:
        said.append(RELATIVE)
        return [[number * size[1 - i % 2] for i, number in enumerate(polygon)] for polygon in whole]
    return whole


def _numbers(box: Any) -> tuple[list[float] | None, str]:
    """Returns a box as four numbers, None for none, and a fault."""
    if box is None or box == []:
        return None, ""
    try:
        x, y, width, height = (float(number) for number in box)
    except (TypeError, ValueError):
        return None, "their bbox is not four numbers"
    return [x, y, width, height], ""


def _fault_of_box(box: list[float], size: Size, said: list[str]) -> str:
    x, y, width, height = box
    if not (width > 0 and height > 0):
        return "their box has no area"
    if not (x < size[1] and y < size[0] and x + width > 0 and y + height > 0):
        return "their box is outside the image"
    if min(x, y, size[1] - x - width, size[0] - y - height) < -TOLERANCE:
        said.append(CUT)
    return ""


def _consistent(box: list[float], polygons: list[list[float]], size: Size, said: list[str]) -> list[float]:
    """Returns the box, or that of the polygons where the two contradict each other."""
    tight = segmentations.extent(polygons, size)
    overlap = _overlap(box, tight)
    if overlap >= SURE_OVERLAP:
        return box
    x1, y1, x2, y2 = box
    if RELATIVE in said:
        return tight
    if _is_relative(box, size):
        said.append(RELATIVE)
        return tight
    if x2 > x1 and y2 > y1 and _overlap([x1, y1, x2 - x1, y2 - y1], tight) >= NEAR_OVERLAP:
        said.append(CORNERS)
        return tight
    if overlap < LEAST_OVERLAP:
        said.append(CONTRADICTION)
        return tight
    return box


def _is_relative(box: list[float], size: Size) -> bool:
    """Returns whether all numbers of a box are in 0..1, although the image is larger."""
    return max(box) <= 1 and min(box) >= 0 and min(size) > 2


def _overlap(first: list[float], second: list[float]) -> float:
    """Returns the intersection over union of two boxes ``[x, y, width, height]``."""
    width = min(first[0] + first[2], second[0] + second[2]) - max(first[0], second[0])
    height = min(first[1] + first[3], second[1] + second[3]) - max(first[1], second[1])
    both = max(width, 0) * max(height, 0)
    union = max(first[2], 0) * max(first[3], 0) + max(second[2], 0) * max(second[3], 0) - both
    return both / union if union > 0 else 1.0


def _name(entry: Annotation) -> str | int:
    number = entry.get("id")
    return number if isinstance(number, int) else str(number)

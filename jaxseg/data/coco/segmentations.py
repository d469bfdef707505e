"""The forms in which annotation files write a mask, brought to one: a list of polygons, or a run-length code."""

from collections.abc import Mapping
from typing import Any

from jaxseg.data.coco import rle

Size = tuple[int, int]

CORNERS = 6  # numbers in the smallest polygon: three points
FAR = 2  # times an image's longer side; a polygon that goes farther is a mistake


def unify(value: Any) -> list[list[float]] | dict[str, Any] | None:
    """Brings a segmentation to a list of polygons ``[x1, y1, x2, y2, ...]`` or to one run-length code.

    Polygons may be nested once less, once more, or as lists of points. Run-length codes may be in a list; several are
    the parts of one mask. What fits no form is returned as it is.

    Example:
      >>> unify([[[1, 2], [3, 4], [5, 6]]])
      [[1, 2, 3, 4, 5, 6]]
      >>> unify([1, 2, 3, 4, 5, 6])
      [[1, 2, 3, 4, 5, 6]]
    """
    if not value or isinstance(value, dict) or not isinstance(value, list):
        return value or None
    if isinstance(value[0], dict):
        return _merged(value)
    if not isinstance(value[0], list):
        return [value]
    if all(isinstance(part, list) and len(part) == 2 and _are_numbers(part) for part in value):
        return [_joined(value)]  # the points of one polygon
    return [polygon for part in value for polygon in _polygons(part)]


def fault_of(segmentation: Any, size: Size) -> str:
    """Returns why a segmentation, see ``unify``, cannot be used for an image of ``size``; "" where it can."""
    if isinstance(segmentation, dict):
        return _fault_of_runs(segmentation, size)
    if not isinstance(segmentation, list):
        return "their segmentation is neither a list of polygons nor a run-length code"
    if isinstance(segmentation[0], dict):
        return "a run-length code of them cannot be read, or has another size than the others"
    return _fault_of_polygons(segmentation, FAR * max(size))


def extent(segmentation: Any, size: Size) -> list[float]:
    """Returns the box ``[x, y, width, height]`` of a segmentation that has no fault."""
    if isinstance(segmentation, dict):
        return rle.box_of(segmentation, size)
    xs = [x for polygon in segmentation for x in polygon[0::2]]
    ys = [y for polygon in segmentation for y in polygon[1::2]]
    return [float(min(xs)), float(min(ys)), float(max(xs) - min(xs)), float(max(ys) - min(ys))]


def _merged(codes: list[Any]) -> list[Any] | dict[str, Any]:
    """Returns run-length codes as one, with all pixels that any of them has; a list if one of them cannot be read."""
    if len(codes) == 1:
        return codes[0]
    sizes = {tuple(code.get("size") or ()) if isinstance(code, dict) else () for code in codes}
    size = next(iter(sizes))
    if len(sizes) > 1 or len(size) != 2 or any(_fault_of_runs(code, size) for code in codes):
        return codes
    return rle.encode(rle.decode(codes, size).any(axis=0)[None])[0]


def _polygons(part: Any) -> list[Any]:
    """Returns the polygons in an element of the outer list: the element itself, or what is nested in it."""
    if not isinstance(part, list) or not part or not isinstance(part[0], list):
        return [part]
    if all(isinstance(one, list) and len(one) == 2 and _are_numbers(one) for one in part):
        return [_joined(part)]
    return part


def _are_numbers(part: Any) -> bool:
    return isinstance(part, list) and all(isinstance(number, int | float) for number in part)


def _joined(points: list[list[float]]) -> list[float]:
    return [number for point in points for number in point]


def _fault_of_polygons(polygons: Any, far: float) -> str:
    try:
        whole = [polygon for polygon in polygons if len(polygon) >= CORNERS]
        if any(len(polygon) % 2 for polygon in whole):
            return "a polygon of them has an odd number of numbers"
        if not all(-far <= number <= far for polygon in whole for number in polygon):  # NaN is not, either
            return "a polygon of them is far outside the image"
    except TypeError:
        return "a polygon of them is not a list of numbers"
    return "" if whole else "no polygon of them has three points"


def _fault_of_runs(code: Mapping[str, Any], size: Size) -> str:
    try:
        if tuple(code["size"]) != size:
            return "their run-length code has another size than the image"
        lengths = rle.run_lengths(code["counts"])
    except (KeyError, TypeError, ValueError, IndexError):
        return "their run-length code cannot be read"
    if lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != size[0] * size[1]:
        return "their run lengths do not add up to the image"
    return ""

"""Annotation files in COCO's format: read once, and checked before anything is learnt from them.

What a file says of its images and categories must be right, or it is an error. An annotation that is of no use is left
out; one warning for each kind of fault counts them and names the first, so that nothing can go wrong in mid-run.
"""

import json
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxseg.data.coco import rle

Size = tuple[int, int]
Annotation = dict[str, Any]

KEPT = ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation")
TOLERANCE = 1.0  # pixels by which a box may leave its image without a warning, as rounding makes it
CORNERS = 6  # numbers that a polygon has at least: three points
CUT = "its box leaves the image"
THIN = "a polygon of it has not three points"
AREA = "its area is not a number"
# Faults with which an annotation is still of use, and what becomes of it.
MENDED = {CUT: "cut off", THIN: "kept without it", AREA: "given the area of the mask"}
FAR = 2  # times an image's longer side; a polygon that goes farther is a mistake


class Image(NamedTuple):
    """What the file says of an image."""

    number: int
    file_name: str
    size: Size


class AnnotationFile(NamedTuple):
    """What a file holds that can be used.

    Attributes:
      path: the file.
      categories: the name of each category, by its number, in the order of numbers.
      images: in the order of the file.
      annotations: those of each image, by its number.
    """

    path: Path
    categories: Mapping[int, str]
    images: list[Image]
    annotations: Mapping[int, list[Annotation]]


def read_annotations(path: Path) -> AnnotationFile:
    """Reads and checks an annotation file.

    Raises:
      ValueError: it is not in COCO's format, or images or categories contradict each other.
    """
    content = _load(path)
    categories = _categories(content["categories"], path)
    images = _images(content["images"], path)
    sizes = {image.number: image.size for image in images}
    used, faults = defaultdict(list), defaultdict(list)
    for annotation in content["annotations"]:
        fault = fault_of(annotation, sizes, categories)
        if fault:
            faults[fault].append(annotation.get("id"))
            continue
        kept = {key: annotation[key] for key in KEPT if key in annotation}
        kept["bbox"] = [float(number) for number in annotation["bbox"]]
        if _leaves(kept["bbox"], sizes[annotation["image_id"]]):
            faults[CUT].append(annotation.get("id"))
        if isinstance(annotation["segmentation"], list):
            kept["segmentation"] = [polygon for polygon in annotation["segmentation"] if len(polygon) >= CORNERS]
            if len(kept["segmentation"]) < len(annotation["segmentation"]):
                faults[THIN].append(annotation.get("id"))
        if not _is_area(kept.get("area", 0)):
            faults[AREA].append(annotation.get("id"))
            del kept["area"]
        used[annotation["image_id"]].append(kept)
    _warn(path, faults, [str(annotation.get("id")) for annotation in content["annotations"]])
    return AnnotationFile(path, categories, images, used)


def fault_of(annotation: Annotation, sizes: Mapping[int, Size], categories: Mapping[int, str]) -> str:
    """Why an annotation is of no use; "" where it is."""
    image, category = annotation.get("image_id"), annotation.get("category_id")
    if not isinstance(image, int) or image not in sizes:
        return "its image_id is that of no image"
    if not isinstance(category, int) or category not in categories:
        return "its category_id is that of no category"
    height, width = sizes[image]
    try:
        x, y, box_width, box_height = (float(number) for number in annotation["bbox"])
    except (KeyError, TypeError, ValueError):
        return "its bbox is not four numbers"
    if not (box_width > 0 and box_height > 0):
        return "its box has no area"
    if not (x < width and y < height and x + box_width > 0 and y + box_height > 0):
        return "its box is outside the image"
    if annotation.get("iscrowd", 0) not in (0, 1):
        return "its iscrowd is neither 0 nor 1"
    segmentation = annotation.get("segmentation")
    if not segmentation:
        return "it has no segmentation"
    if isinstance(segmentation, dict):
        return _fault_of_runs(segmentation, (height, width))
    return _fault_of_polygons(segmentation, FAR * max(height, width))


def _fault_of_polygons(polygons: Any, far: float) -> str:
    try:
        whole = [polygon for polygon in polygons if len(polygon) >= CORNERS]
        if any(len(polygon) % 2 for polygon in whole):
            return "a polygon of it has an odd number of numbers"
        if any(min(polygon) < -far or max(polygon) > far for polygon in whole):
            return "a polygon of it is far outside the image"
    except TypeError:
        return "a polygon of it is not a list of numbers"
    return "" if whole else "no polygon of it has three points"


def _fault_of_runs(code: Mapping[str, Any], size: Size) -> str:
    try:
        if tuple(code["size"]) != size:
            return "its run-length code has another size than the image"
        lengths = rle.run_lengths(code["counts"])
    except (KeyError, TypeError, ValueError, IndexError):
        return "its run-length code cannot be read"
    if lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != size[0] * size[1]:
        return "its run lengths do not add up to the image"
    return ""


def _is_area(number: Any) -> bool:
    return isinstance(number, int | float) and number >= 0


def _leaves(box: list[float], size: Size) -> bool:
    x, y, width, height = box
    return min(x, y, size[1] - x - width, size[0] - y - height) < -TOLERANCE


def _warn(path: Path, faults: Mapping[str, list], numbers: list) -> None:
    for fault, named in faults.items():
        done = MENDED.get(fault, "left out")
        warnings.warn(f"{path}: {len(named)} annotation(s) {done}, the first is {named[0]}: {fault}", stacklevel=3)
    twice = [number for number, times in Counter(numbers).items() if times > 1]
    if twice:
        warnings.warn(
            f"{path}: {len(twice)} id(s) stand for several annotations, the first is {twice[0]}; all of them are kept",
            stacklevel=3,
        )


def _load(path: Path) -> dict[str, Any]:
    try:
        # What is not a number comes as None, which no check lets pass.
        content = json.loads(path.read_bytes(), parse_constant=lambda name: None)
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); expected annotations in COCO's format") from error
    parts = ("images", "annotations", "categories")
    whole = isinstance(content, dict) and all(isinstance(content.get(part), list) for part in parts)
    if not whole or not all(isinstance(entry, dict) for part in parts for entry in content[part]):
        raise ValueError(f"{path} is not in COCO's format; expected the lists {', '.join(parts)}")
    return content


def _categories(entries: list[dict[str, Any]], path: Path) -> dict[int, str]:
    categories = {}
    for entry in entries:
        number, name = entry.get("id"), entry.get("name")
        if not isinstance(number, int) or not isinstance(name, str):
            raise ValueError(f"{path}: the category {entry} has not both an id, a whole number, and a name")
        if number in categories:
            raise ValueError(f"{path}: the categories {categories[number]!r} and {name!r} have the same id {number}")
        categories[number] = name
    if not categories:
        raise ValueError(f"{path} has no categories; expected one for each class of objects")
    return dict(sorted(categories.items()))


def _images(entries: list[dict[str, Any]], path: Path) -> list[Image]:
    images, files = {}, {}
    for entry in entries:
        number, name, size = entry.get("id"), entry.get("file_name"), (entry.get("height"), entry.get("width"))
        if not isinstance(number, int) or not isinstance(name, str):
            raise ValueError(f"{path}: the image {entry} has not both an id, a whole number, and a file_name")
        if not all(isinstance(side, int) and side > 0 for side in size):
            raise ValueError(f"{path}: image {number}, {name}, has height and width {size}; expected whole numbers")
        if number in images or name in files:
            other = images[number].file_name if number in images else files[name]
            raise ValueError(f"{path}: image {number}, {name}, stands there twice, also as {other}")
        images[number], files[name] = Image(number, name, size), number
    return list(images.values())

"""LabelMe: a JSON file of shapes next to each image."""

import base64
import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np
from PIL import Image

from jaxseg.data.coco import rle
from jaxseg.data.coco.annotations import normal_name
from jaxseg.data.coco.reading import Annotation, AnnotationReader
from jaxseg.data.geometry import polygon_of_ellipse
from jaxseg.data.image_checks import check_images, report_bad
from jaxseg.data.instances.annotated import classes_of, open_annotated
from jaxseg.data.instances.annotated_records import AnnotatedImage
from jaxseg.data.instances.locating import ImageEntry, find_images, locate
from jaxseg.data.instances.splits import ALL, NAMES, choose, find_part
from jaxseg.data.report import Notices
from jaxseg.data.sources.file_lists import source_folder
from jaxseg.data.text_files import read_lines
from jaxseg.types import Source

ORIGIN = "A LabelMe data set has a file NAME.json next to each image NAME.jpg, in one folder or in one per split"
NOT_CLASSES = ("__ignore__", "_background_", "background")


def open_split(data_config: ml_collections.ConfigDict, split: str) -> Source:
    """Opens the source ``labelme``: JSON files next to images in ``config.data.source_dir``.

    Shapes are polygons, rectangles, circles and masks; shapes with the same label and ``group_id`` are one object.
    Splits are folders; without any, images are divided at random. Classes are those of ``labels.txt``, or all labels
    in alphabetical order.

    Raises:
      ValueError: a file is missing or is not what it should be.
    """
    folder = source_folder(data_config, ORIGIN)
    found = find_splits(folder)
    if not found:
        raise ValueError(f"{folder} has no JSON file with shapes. {ORIGIN}")
    notices = Notices()
    contents, errors = _read_files([path for paths in found.values() for path in paths])
    part = find_part(list(found), split, data_config)
    paths = {str(path): path for place in part.places for path in found[place]}
    chosen = choose(paths, part, data_config, notices)
    report_bad([errors[path] for path in chosen if path in errors], data_config.bad_files, notices)
    chosen = [path for path in chosen if path in contents]
    categories = dict(enumerate(class_names(folder, contents.values()), start=1))
    numbers = {name: number for number, name in categories.items()}
    files = dict(enumerate(chosen, start=1))
    located = {number: _image_of(path, contents[path], number, data_config, notices) for number, path in files.items()}
    found = {number: image for number, image in located.items() if image is not None}
    reader, images = AnnotationReader(categories, notices, has_boxes=False), []
    for number, summary in check_images(found, data_config, notices).items():
        path, size = files[number], summary.size
        entries = (
            reader.read(entry, number, numbers.get(label), size)
            for label, entry in _entries(path, contents[path]["shapes"], size, notices)
            if label not in NOT_CLASSES
        )
        annotations = [one for one in entries if one is not None]
        images.append(AnnotatedImage(number, path.stem, found[number], size, annotations))
    return open_annotated(images, classes_of(categories), data_config, notices)


def find_splits(folder: Path) -> dict[str, list[Path]]:
    """Returns the JSON files with shapes of each split; "all" without splits."""
    splits = [name for names in NAMES.values() for name in names]
    found = {split: _files(folder / split) or _files(folder / "images" / split) for split in splits}
    found = {split: paths for split, paths in found.items() if paths}
    if not found:
        paths = _files(folder)
        found = {ALL: paths} if paths else {}
    return found


def read_file(path: Path) -> dict[str, Any]:
    """Reads one JSON file.

    Raises:
      ValueError: it is not LabelMe's.
    """
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); expected a file of LabelMe") from error
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise ValueError(f"{path} has no list of shapes; expected a file of LabelMe")
    content.pop("imageData", None)  # the image itself, which is large
    return content


def _read_files(paths: Sequence[Path]) -> tuple[dict[Path, dict[str, Any]], dict[Path, str]]:
    """Returns the contents of files, and the errors of those that cannot be read."""
    contents, errors = {}, {}
    for path in paths:
        try:
            contents[path] = read_file(path)
        except ValueError as error:
            errors[path] = str(error)
    return contents, errors


def class_names(folder: Path, contents: Any) -> list[str]:
    """Returns the names of ``labels.txt``, or all labels in alphabetical order."""
    for name in ("labels.txt", "classes.txt"):
        if (folder / name).is_file():
            return [line for line in read_lines(folder / name) if line not in NOT_CLASSES]
    labels = {str(shape.get("label")) for content in contents for shape in content["shapes"]}
    if not labels - set(NOT_CLASSES):
        raise ValueError(f"{folder} has no shape with a label. {ORIGIN}")
    return sorted(labels - set(NOT_CLASSES))


def is_labelme(path: Path) -> bool:
    """Returns whether a JSON file looks like one of LabelMe's, without reading all of it."""
    with path.open("rb") as file:
        start = file.read(1 << 16)
    return b'"shapes"' in start


def _files(folder: Path) -> list[Path]:
    """Returns LabelMe's JSON files of a folder and of its folders; none where no file looks like one.

    Next to one that does, files with the name of an image count too, so that damaged ones are not passed over.
    """
    paths = sorted(path for path in folder.rglob("*.json") if not path.name.startswith("."))
    fitting = {path for path in paths if is_labelme(path)}
    images = {image.stem for image in find_images(folder)} if fitting else set()
    return [path for path in paths if path in fitting or path.stem in images]


def _image_of(
    path: Path, content: dict[str, Any], number: int, data_config: ml_collections.ConfigDict, notices: Notices
) -> Path | None:
    """Returns the image of a JSON file: the one that it names, or one with the same name next to it."""
    name = normal_name(str(content.get("imagePath") or f"{path.stem}.jpg"))
    folders = [path.parent, path.parent.parent / "images"]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    candidates = [image for image in find_images(path.parent) if image.stem == path.stem]
    if candidates:
        return candidates[0]
    return locate([ImageEntry(number, name, None)], folders, data_config, notices, ORIGIN).get(number)


def _entries(
    path: Path, shapes: list[dict[str, Any]], size: tuple[int, int], notices: Notices
) -> Iterator[tuple[str, Annotation]]:
    """Yields the label and the annotation of each object."""
    groups: dict[Any, tuple[str, Annotation]] = {}
    for place, shape in enumerate(shapes, start=1):
        label, group, kind = str(shape.get("label")), shape.get("group_id"), shape.get("shape_type") or "polygon"
        group = group if group is None else str(group)
        entry: Annotation = {"id": f"{path.name}:{place}"}
        try:
            segmentation = _segmentation(shape, kind, size)
        except (TypeError, ValueError, OverflowError, OSError):
            notices.add("are left out: their numbers cannot be read", "shapes", entry["id"])
            continue
        if segmentation is None:
            notices.add(f"are left out: they are of the kind {kind}, which has no area", "shapes", entry["id"])
            continue
        entry["segmentation"] = segmentation
        together = groups.get((label, group)) if group is not None else None
        if together and isinstance(segmentation, list) and isinstance(together[1]["segmentation"], list):
            together[1]["segmentation"].extend(segmentation)
        else:
            groups[(label, group) if group is not None else place] = (label, entry)
    yield from groups.values()


def _segmentation(shape: dict[str, Any], kind: str, size: tuple[int, int]) -> list | dict[str, Any] | None:
    """Returns a shape as polygons or as a run-length code; None for one without an area."""
    points = [[float(x), float(y)] for x, y in shape.get("points") or ()]
    if kind == "polygon":
        return [[number for point in points for number in point]]
    if len(points) < 2:
        return None
    (x1, y1), (x2, y2) = points[:2]
    if kind == "rectangle":
        return [[x1, y1, x2, y1, x2, y2, x1, y2]]
    if kind == "circle":
        radius = math.hypot(x2 - x1, y2 - y1)
        return [polygon_of_ellipse(x1, y1, radius, radius)]
    if kind == "mask" and shape.get("mask"):
        mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(shape["mask"])))) != 0
        top, left = max(round(y1), 0), max(round(x1), 0)
        return rle.encode_within(mask[: size[0] - top, : size[1] - left], (top, left), size)
    return None

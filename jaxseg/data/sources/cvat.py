"""CVAT for images: one XML file with polygons, boxes, ellipses and brush masks of all images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import ml_collections
import numpy as np

from jaxseg.data.coco import rle
from jaxseg.data.coco.annotations import normal_name
from jaxseg.data.coco.reading import Annotation, AnnotationReader
from jaxseg.data.geometry import polygon_of_ellipse
from jaxseg.data.instances.annotated import classes_of, open_annotated
from jaxseg.data.instances.annotated_records import AnnotatedImage
from jaxseg.data.instances.locating import ImageEntry, check_sizes, locate
from jaxseg.data.instances.splits import ALL, choose, find_part, names_of
from jaxseg.data.report import Notices
from jaxseg.data.sources.file_lists import source_folder
from jaxseg.types import Source

ORIGIN = "CVAT's export 'CVAT for images' has annotations.xml, and the images in images/"


def open_split(data_config: ml_collections.ConfigDict, split: str) -> Source:
    """Opens the source ``cvat``: ``annotations.xml`` and images in ``config.data.source_dir``.

    Shapes are polygons, ellipses and masks, and boxes, which are objects without a mask. Splits are CVAT's subsets;
    without any, images are divided at random.

    Raises:
      ValueError: a file is missing or is not what it should be.
    """
    folder = source_folder(data_config, ORIGIN)
    path = annotation_file(folder)
    if path is None:
        raise ValueError(f"{folder / 'annotations.xml'} is missing. {ORIGIN}")
    notices = Notices()
    labels, elements = _read(path)
    categories = dict(enumerate(labels, start=1))
    numbers = {name: number for number, name in categories.items()}
    subsets: dict[str, dict[str, ElementTree.Element]] = {}
    for element in elements:
        subset = element.get("subset", ALL)
        subsets.setdefault(ALL if subset.lower() == "default" else subset, {})[element.get("name", "")] = element
    part = find_part(list(subsets), split, data_config)
    chosen = choose({k: v for place in part.places for k, v in subsets[place].items()}, part, data_config, notices)
    entries = [
        ImageEntry(number, normal_name(element.get("name", "")), _size(element, path))
        for number, element in enumerate(chosen, start=1)
    ]
    names = [name for place in part.places for name in names_of(place)]
    folders = [folder / "images", *(folder / "images" / name for name in names), folder]
    paths = locate(entries, folders, data_config, notices, ORIGIN)
    sizes = check_sizes(entries, paths, data_config, notices)
    reader, images = AnnotationReader(categories, notices, has_boxes=False), []
    for entry, element in zip(entries, chosen, strict=True):
        if entry.number in sizes:
            size = sizes[entry.number]
            read = (
                reader.read(one, entry.number, numbers.get(label), size)
                for label, one in _shapes(element, size, notices)
            )
            annotations = [one for one in read if one is not None]
            images.append(
                AnnotatedImage(entry.number, Path(entry.file_name).stem, paths[entry.number], size, annotations)
            )
    return open_annotated(images, classes_of(categories), data_config, notices)


def annotation_file(folder: Path) -> Path | None:
    """Returns CVAT's XML file of a folder; None where there is none."""
    return next((path for path in sorted(folder.glob("*.xml")) if is_cvat(path)), None)


def is_cvat(path: Path) -> bool:
    """Returns whether an XML file looks like CVAT's, without reading all of it."""
    with path.open("rb") as file:
        start = file.read(4096)
    return b"<annotations>" in start


def _read(path: Path) -> tuple[list[str], list[ElementTree.Element]]:
    """Returns the labels and the elements of images.

    Raises:
      ValueError: the file is not CVAT's, or has no labels.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"{path} is not XML ({error}); expected CVAT's annotations") from error
    elements = root.findall("image")
    labels = [name.text or "" for name in root.iterfind(".//meta//labels/label/name")]
    labels = labels or sorted(
        {shape.get("label", "") for element in elements for shape in element if shape.get("label")}
    )
    if not elements or not labels:
        raise ValueError(f"{path} has {len(elements)} images and {len(labels)} labels; expected some of both. {ORIGIN}")
    return list(dict.fromkeys(labels)), elements


def _size(element: ElementTree.Element, path: Path) -> tuple[int, int]:
    """Returns height and width of an image.

    Raises:
      ValueError: they are no numbers.
    """
    given = element.get("height", ""), element.get("width", "")
    if not all(side.isdecimal() for side in given):
        raise ValueError(
            f"{path}: the image {element.get('name')} has height and width {given}; expected whole numbers"
        )
    return int(given[0]), int(given[1])


def _shapes(element: ElementTree.Element, size: tuple[int, int], notices: Notices) -> Iterator[tuple[str, Annotation]]:
    """Yields the label and the annotation of each object of an image; polygons of a group are one object."""
    groups: dict[Any, tuple[str, Annotation]] = {}
    for place, shape in enumerate(element, start=1):
        label, group = shape.get("label", ""), shape.get("group_id")
        if shape.tag == "tag":
            continue
        entry: Annotation = {"id": f"{element.get('name')}:{place}"}
        try:
            if shape.tag == "box":
                groups[place] = (label, entry | {"bbox": _box(shape)})
                continue
            segmentation = _segmentation(shape, size)
        except (TypeError, ValueError, OverflowError):
            notices.add("are left out: their numbers cannot be read", "shapes", entry["id"])
            continue
        if segmentation is None:
            notices.add(f"are left out: they are of the kind {shape.tag}, which has no area", "shapes", entry["id"])
            continue
        entry["segmentation"] = segmentation
        together = groups.get((label, group)) if group else None
        if together and isinstance(segmentation, list) and isinstance(together[1]["segmentation"], list):
            together[1]["segmentation"].extend(segmentation)
        else:
            groups[(label, group) if group else place] = (label, entry)
    yield from groups.values()


def _box(shape: ElementTree.Element) -> list[float]:
    """Returns the upright box ``[x, y, width, height]`` around a box, which CVAT may have turned by some degrees."""
    x1, y1, x2, y2 = (float(shape.get(side)) for side in ("xtl", "ytl", "xbr", "ybr"))
    turn = np.radians(float(shape.get("rotation", 0)))
    cosine, sine = abs(np.cos(turn)), abs(np.sin(turn))
    width, height = (x2 - x1) * cosine + (y2 - y1) * sine, (x2 - x1) * sine + (y2 - y1) * cosine
    return [float((x1 + x2 - width) / 2), float((y1 + y2 - height) / 2), float(width), float(height)]


def _segmentation(shape: ElementTree.Element, size: tuple[int, int]) -> list | dict[str, Any] | None:
    """Returns a shape as polygons or as a run-length code; None for one without an area."""
    if shape.tag == "polygon":
        return [[float(number) for point in shape.get("points", "").split(";") for number in point.split(",")]]
    if shape.tag == "ellipse":
        x, y, radius_x, radius_y = (float(shape.get(side)) for side in ("cx", "cy", "rx", "ry"))
        return [polygon_of_ellipse(x, y, radius_x, radius_y, float(shape.get("rotation", 0)))]
    if shape.tag == "mask":
        left, top, width, height = (int(float(shape.get(side))) for side in ("left", "top", "width", "height"))
        lengths = [int(number) for number in shape.get("rle", "").split(",")]
        fits = 0 < width <= size[1] and 0 < height <= size[0] and sum(lengths) <= size[0] * size[1]
        if not fits or min(lengths) < 0:
            raise ValueError("a mask is larger than its image")
        # Runs of 0 and 1 in turn, along rows.
        mask = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
        mask = np.pad(mask, (0, max(width * height - len(mask), 0)))[: width * height].reshape(height, width)
        return rle.encode_within(mask[: size[0] - top, : size[1] - left], (top, left), size)
    return None

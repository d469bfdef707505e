"""Results in the formats of annotation tools: GeoJSON, YOLO, LabelMe and COCO.

Annotations can be corrected in a tool and used as training data. They hold objects only: no background, and no
detections below the score at which objects are drawn.
"""

import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxseg.inference.contours import TOLERANCE, join_rings, polygons_of
from jaxseg.inference.instance_result import InstanceResult
from jaxseg.inference.results import Result
from jaxseg.reporting.pictures import background_classes


class Region(NamedTuple):
    """An object, or all pixels of a class.

    Attributes:
      class_id: its class.
      score: of a detection; None in a semantic result.
      mask: bool ``[h, w]``.
    """

    class_id: int
    score: float | None
    mask: np.ndarray


def object_classes(class_names: Sequence[str]) -> list[int]:
    """Returns the classes that are not the background.

    >>> object_classes(("background", "cat", "dog"))
    [1, 2]
    """
    background = background_classes(class_names)
    return [number for number in range(len(class_names)) if number not in background]


def regions_of(result: Result) -> Iterator[Region]:
    """Yields the drawn objects of a detector's result, or the classes of a semantic one without the background."""
    if isinstance(result, InstanceResult):
        for slot in result.shown:
            yield Region(int(result.class_ids[slot]), float(result.scores[slot]), result.mask_of(slot))
    else:
        objects = set(object_classes(result.class_names))
        for number in result.class_ids:
            if number in objects:
                yield Region(int(number), None, result.mask == number)


def to_geojson(result: Result, tolerance: float = TOLERANCE) -> dict[str, Any]:
    """Returns the objects as a GeoJSON feature collection; coordinates are pixels, x to the right and y down."""

    def closed(ring: np.ndarray) -> list[list[float]]:
        return [*ring.tolist(), ring[0].tolist()]

    features = []
    for region in regions_of(result):
        parts = polygons_of(region.mask, tolerance)
        coordinates = [[closed(part.outline), *map(closed, part.holes)] for part in parts]
        properties: dict[str, Any] = {"class": result.class_names[region.class_id]}
        if region.score is not None:
            properties["score"] = round(region.score, 4)
        geometry = {"type": "MultiPolygon", "coordinates": coordinates}
        features.append({"type": "Feature", "properties": properties, "geometry": geometry})
    return {"type": "FeatureCollection", "features": features}


def to_yolo(result: Result, objects: Sequence[int], tolerance: float = TOLERANCE) -> str:
    """Returns a YOLO segmentation label file: a line per object, its class and one ring in shares of the image.

    Args:
      result: of one image.
      objects: the classes in the order of ``data.yaml``.
      tolerance: see ``polygons_of``.
    """
    lines = []
    for region in regions_of(result):
        parts = polygons_of(region.mask, tolerance)
        if parts:
            ring = join_rings(*parts) / np.array(result.size[::-1])
            lines.append(" ".join([str(objects.index(region.class_id)), *(f"{number:.6f}" for number in ring.ravel())]))
    return "".join(line + "\n" for line in lines)


def to_labelme(result: Result, folder: pathlib.Path, tolerance: float = TOLERANCE) -> dict[str, Any]:
    """Returns a LabelMe file: a polygon per part of an object; the parts of an object share a group.

    Args:
      result: of one image.
      folder: where the file will be, from which it refers to the image.
      tolerance: see ``polygons_of``.
    """
    shapes = []
    for number, region in enumerate(regions_of(result), start=1):
        parts = polygons_of(region.mask, tolerance)
        for part in parts:
            shapes.append(
                {
                    "label": result.class_names[region.class_id],
                    "points": join_rings(part).tolist(),
                    "group_id": number if len(parts) > 1 else None,
                    "shape_type": "polygon",
                    "flags": {},
                }
            )
    image = os.path.relpath(os.path.abspath(result.path), os.path.abspath(folder)) if result.path else ""
    height, width = result.size
    head = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": image, "imageData": None}
    return head | {"imageHeight": height, "imageWidth": width}


def to_coco_annotations(
    result: Result, image_id: int, category_ids: dict[int, int], tolerance: float = TOLERANCE
) -> dict[str, list[dict[str, Any]]]:
    """Returns the entries of a COCO annotation file for one image, under "images" and "annotations".

    Args:
      result: of the image.
      image_id: its number.
      category_ids: the number of each class.
      tolerance: see ``polygons_of``.
    """
    height, width = result.size
    image = {"id": image_id, "file_name": str(result.path or ""), "height": height, "width": width}
    annotations = []
    for region in regions_of(result):
        parts = polygons_of(region.mask, tolerance)
        if not parts:
            continue
        points = np.concatenate([part.outline for part in parts])
        (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        annotation = {
            "id": image_id * 1000 + len(annotations) + 1,
            "image_id": image_id,
            "category_id": category_ids[region.class_id],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": int(np.count_nonzero(region.mask)),
            "iscrowd": 0,
            "segmentation": [join_rings(part).ravel().tolist() for part in parts],
        }
        annotations.append(annotation | ({} if region.score is None else {"score": region.score}))
    return {"images": [image], "annotations": annotations}

"""Files that results are written to: masks and overlays, pictures of probabilities, and formats of annotation tools.

Annotations can be corrected in a tool and used as training data. They hold objects only: no background, and no
detections below the score at which objects are drawn.
"""

import json
import os
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxseg.inference.contours import TOLERANCE, join_rings, polygons_of
from jaxseg.inference.files import write_image
from jaxseg.inference.instance_result import InstanceResult
from jaxseg.inference.json_files import JsonList
from jaxseg.inference.results import Result
from jaxseg.inference.semantic_result import SemanticResult
from jaxseg.reporting.pictures import background_classes

FORMATS = ("coco", "yolo", "labelme")
PROBABILITIES = ("png", "npy")


class Outputs(NamedTuple):
    """Which files are written per image, besides the mask and the overlay.

    Attributes:
      confidence: a picture of the largest softmax probability, ``NAME_confidence.png``.
      probabilities: "png" for a 16-bit picture per class, "npy" for one array, "" for none.
      polygons: outlines in pixels as GeoJSON, ``NAME_polygons.json``.
      format: annotations for a tool: "coco", "yolo", "labelme", or "" for none.
      overlay: whether the overlay is written.
    """

    confidence: bool = False
    probabilities: str = ""
    polygons: bool = False
    format: str = ""
    overlay: bool = True


DEFAULT_OUTPUTS = Outputs()


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


class Writer:
    """A writer of the files of results into a folder; threads may share it.

    Args:
      folder: exists.
      outputs: what is written.
      class_names: a name per class.
      category_ids: the number of each class in COCO's format.

    Raises:
      ValueError: an output that does not exist.
    """

    def __init__(self, folder: pathlib.Path, outputs: Outputs, class_names: Sequence[str], category_ids: Sequence[int]):
        check_outputs(outputs)
        self._folder, self._outputs = folder, outputs
        self._ids = {number: id_ for number, id_ in enumerate(category_ids)}
        self._objects = object_classes(class_names)
        self._coco = None
        if outputs.format == "coco":
            categories = [{"id": self._ids[number], "name": class_names[number]} for number in self._objects]
            self._coco = JsonList(folder / "annotations.json", {"categories": categories}, ("images", "annotations"))
        if outputs.format == "yolo":
            (folder / "labels").mkdir(exist_ok=True)
            names = "".join(f"  {i}: {json.dumps(class_names[n])}\n" for i, n in enumerate(self._objects))
            (folder / "data.yaml").write_text(f"path: .\nnames:\n{names}")

    def write(self, result: Result, name: str, image_id: int) -> dict[str, pathlib.Path]:
        """Writes the files of one result and returns their paths by what they are."""
        paths = result.save(self._folder, name, overlay=self._outputs.overlay)
        if isinstance(result, SemanticResult):
            paths |= self._write_probabilities(result, name)
        if self._outputs.polygons:
            paths["polygons"] = self._folder / f"{name}_polygons.json"
            paths["polygons"].write_text(json.dumps(to_geojson(result)))
        if self._outputs.format == "yolo":
            paths["labels"] = self._folder / "labels" / f"{name}.txt"
            paths["labels"].write_text(to_yolo(result, self._objects))
        if self._outputs.format == "labelme":
            paths["labelme"] = self._folder / f"{name}.json"
            paths["labelme"].write_text(json.dumps(to_labelme(result, self._folder)))
        if self._coco is not None:
            self._coco.add(**to_coco_annotations(result, image_id, self._ids))
        return paths

    def close(self) -> None:
        """Brings files that are shared by all images up to date."""
        if self._coco is not None:
            self._coco.write()

    def _write_probabilities(self, result: SemanticResult, name: str) -> dict[str, pathlib.Path]:
        paths = {}
        if self._outputs.confidence:
            paths["confidence"] = self._folder / f"{name}_confidence.png"
            write_image(paths["confidence"], result.confidence)
        if self._outputs.probabilities == "npy":
            paths["probabilities"] = self._folder / f"{name}_probabilities.npy"
            np.save(paths["probabilities"], (result.probabilities / 65535).astype(np.float16))
        if self._outputs.probabilities == "png":
            for number, title in enumerate(result.class_names):
                safe = re.sub(r"\W+", "-", title).strip("-") or str(number)
                path = self._folder / f"{name}_probability_{number}_{safe}.png"
                write_image(path, np.ascontiguousarray(result.probabilities[..., number]))
                paths[f"probability_{number}"] = path
        return paths


def check_outputs(outputs: Outputs) -> None:
    """Checks the names of formats.

    Raises:
      ValueError: one is unknown.
    """
    if outputs.format not in ("", *FORMATS):
        raise ValueError(f"format is {outputs.format!r}; expected one of {', '.join(FORMATS)}")
    if outputs.probabilities not in ("", *PROBABILITIES):
        raise ValueError(f"probabilities is {outputs.probabilities!r}; expected one of {', '.join(PROBABILITIES)}")


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

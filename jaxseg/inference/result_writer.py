"""Files that results are written to: masks and overlays, pictures of probabilities, and annotations for tools."""

import json
import pathlib
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxseg.inference.formats import object_classes, to_coco_annotations, to_geojson, to_labelme, to_yolo
from jaxseg.inference.json_files import JsonList
from jaxseg.inference.results import Result
from jaxseg.inference.semantic_result import SemanticResult
from jaxseg.reporting import pictures
from jaxseg.storage import whole_file, write_text

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
            write_text(folder / "data.yaml", f"path: .\nnames:\n{names}")

    def write(self, result: Result, name: str, image_id: int) -> dict[str, pathlib.Path]:
        """Writes the files of one result and returns their paths by what they are."""
        paths = result.save(self._folder, name, overlay=self._outputs.overlay)
        if isinstance(result, SemanticResult):
            paths |= self._write_probabilities(result, name)
        if self._outputs.polygons:
            paths["polygons"] = self._folder / f"{name}_polygons.json"
            write_text(paths["polygons"], json.dumps(to_geojson(result)))
        if self._outputs.format == "yolo":
            paths["labels"] = self._folder / "labels" / f"{name}.txt"
            write_text(paths["labels"], to_yolo(result, self._objects))
        if self._outputs.format == "labelme":
            paths["labelme"] = self._folder / f"{name}.json"
            write_text(paths["labelme"], json.dumps(to_labelme(result, self._folder)))
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
            pictures.write(paths["confidence"], result.confidence)
        if self._outputs.probabilities == "npy":
            paths["probabilities"] = self._folder / f"{name}_probabilities.npy"
            with whole_file(paths["probabilities"]) as new, new.open("wb") as file:
                np.save(file, (result.probabilities / 65535).astype(np.float16))
        if self._outputs.probabilities == "png":
            for number, title in enumerate(result.class_names):
                safe = re.sub(r"\W+", "-", title).strip("-") or str(number)
                path = self._folder / f"{name}_probability_{number}_{safe}.png"
                pictures.write(path, np.ascontiguousarray(result.probabilities[..., number]))
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

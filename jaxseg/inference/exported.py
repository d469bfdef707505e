"""Predictions by an exported file; the results have the same types as those of a run."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import cv2
import ml_collections
import numpy as np

from jaxseg.inference.engine import Engine, Options, Prepared, TrainedModel, read_options, stack
from jaxseg.inference.instance_result import InstanceResult
from jaxseg.inference.predictor import Predictor
from jaxseg.inference.results import Result
from jaxseg.inference.semantic_result import SemanticResult
from jaxseg.inference.stablehlo import Export, read_export
from jaxseg.run.upgrade import upgrade
from jaxseg.run.workdir import as_tuples


class ExportedPredictor(Predictor):
    """A predictor that runs an exported program.

    If the program has a fixed size, images are resized to it and results are resized back.

    Args:
      export: the program with its description.

    Attributes:
      size: height and width of the program's images; None if it takes images of any size.
    """

    def __init__(self, export: Export):
        self.export = export
        content = export.description
        size = content.get("size")
        self.size: tuple[int, int] | None = None if size is None else (size[0], size[1])
        config = ml_collections.ConfigDict(upgrade(as_tuples(content["config"])))
        palette = np.array(content["palette"], np.uint8)
        ids = tuple(content["category_ids"])
        super().__init__(TrainedModel(config, None, {}, tuple(content["class_names"]), palette, ids))

    def call(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the program on uint8 ``[b, h, w, 3]`` and returns its outputs, one row per image.

        Images of one call share programs, unless the program takes one image at a time.
        """
        most = self.export.description.get("batch") or len(images)
        parts = [self.export.program.call(images[first : first + most]) for first in range(0, len(images), most)]
        return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}

    def engine(self, **options: Any) -> Engine:
        """Returns the stages of a prediction; an exported program knows no option but ``batch``.

        Raises:
          ValueError: another option is set.
        """
        chosen = read_options(options)
        if chosen._replace(batch=1) != Options():
            raise ValueError("an exported model predicts whole images; expected no option except batch. Use the run.")

        def prepare(image: np.ndarray) -> Prepared:
            seen = image
            if self.size is not None and image.shape[:2] != self.size:
                seen = cv2.resize(image, self.size[::-1], interpolation=cv2.INTER_LINEAR)
            return Prepared(image, (seen,), seen.shape)

        def compute(prepared: Sequence[Prepared]) -> list[Any]:
            (batch,) = stack(prepared, chosen.batch)
            outputs = self.call(batch)
            return [(outputs, number) for number in range(len(prepared))]

        def finish(prepared: Prepared, waiting: Any) -> Result:
            outputs, number = waiting
            return self.result(prepared, {name: array[number] for name, array in outputs.items()})

        return Engine(prepare, compute, finish)

    def result(self, prepared: Prepared, found: dict[str, np.ndarray]) -> Result:
        """Returns the result of one image, in its own pixels, from the outputs of the program for it."""
        trained, image = self.trained, prepared.image
        size, seen = image.shape[:2], prepared.inputs[0].shape[:2]
        if self.task == "semantic":
            label = found["label"]
            if size != seen:
                label = cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST)
            return SemanticResult(image, label, trained.class_names, trained.palette, trained.category_ids)
        kept = {name: found[name][found["valid"]] for name in ("boxes", "scores", "classes", "masks")}
        boxes = kept["boxes"] * np.float32([size[1] / seen[1], size[0] / seen[0]] * 2)
        ids = trained.class_names, trained.category_ids
        return InstanceResult(image, boxes, kept["scores"], kept["classes"], kept["masks"], *ids)


def load_export(path: str | os.PathLike) -> ExportedPredictor:
    """Loads a file of ``jaxseg export``: StableHLO, or ONNX where its name ends in .onnx.

    Raises:
      ValueError: it does not exist or is not an export.
    """
    path = pathlib.Path(path).expanduser()
    if path.suffix == ".onnx":
        from jaxseg.inference.onnx_files import read_onnx  # here, since few people have onnxruntime

        return ExportedPredictor(read_onnx(path))
    return ExportedPredictor(read_export(path))

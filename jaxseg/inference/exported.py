"""Predictions with an exported file, with the same results as a run's."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np

from jaxseg.inference.engine import Engine, Options, Prepared, TrainedModel, stack
from jaxseg.inference.predictor import Predictor
from jaxseg.inference.results import InstanceResult, Result, SemanticResult
from jaxseg.inference.stablehlo import Export, read_export
from jaxseg.run.workdir import as_tuples


class ExportedPredictor(Predictor):
    """A predictor that runs an exported program.

    Args:
      export: the program with its description.
    """

    def __init__(self, export: Export):
        self.export = export
        content = export.description
        config = ml_collections.ConfigDict(as_tuples(content["config"]))
        palette = np.array(content["palette"], np.uint8)
        ids = tuple(content["category_ids"])
        super().__init__(TrainedModel(config, None, {}, tuple(content["class_names"]), palette, ids))

    def engine(self, **options: Any) -> Engine:
        """Returns the stages of a prediction; an exported program knows no option but ``batch``.

        Raises:
          ValueError: another option is set.
        """
        chosen = Options(**options)
        if chosen._replace(batch=1) != Options():
            raise ValueError("an exported model predicts whole images; expected no option except batch. Use the run.")

        def prepare(image: np.ndarray) -> Prepared:
            return Prepared(image, (image,), image.shape)

        def compute(prepared: Sequence[Prepared]) -> list[Any]:
            (batch,) = stack(prepared, chosen.batch)
            outputs = self.export.program.call(batch)
            return [(outputs, number) for number in range(len(prepared))]

        def finish(prepared: Prepared, waiting: Any) -> Result:
            outputs, number = waiting
            return self.result(prepared.image, {name: np.asarray(array)[number] for name, array in outputs.items()})

        return Engine(prepare, compute, finish)

    def result(self, image: np.ndarray, found: dict[str, np.ndarray]) -> Result:
        """Returns the result of one image from the outputs of the program for it."""
        trained = self.trained
        if self.task == "semantic":
            return SemanticResult(image, found["label"], trained.class_names, trained.palette, trained.category_ids)
        kept = [found[name][found["valid"]] for name in ("boxes", "scores", "classes", "masks")]
        return InstanceResult(image, *kept, trained.class_names, trained.category_ids)


def load_export(path: str | os.PathLike) -> ExportedPredictor:
    """Loads a file of ``jaxseg export``.

    Raises:
      ValueError: it does not exist or is not an export.
    """
    return ExportedPredictor(read_export(pathlib.Path(path).expanduser()))

"""Predicting a folder of photographs, next to forward passes of as many images."""

import contextlib
import pathlib
import tempfile

import cv2
import jax
import numpy as np

from jaxseg.benchmarks.timing import Contender
from jaxseg.ctrl_c import unfinished
from jaxseg.inference import Predictor
from jaxseg.inference.engine import TrainedModel
from jaxseg.inference.predict_files import predict_files
from jaxseg.run.experiment import Experiment
from jaxseg.run.state import TrainState, eval_variables

PHOTOGRAPHS = 200
SIZE = (375, 500)


def predict_files_contenders(
    experiment: Experiment, state: TrainState, resources: contextlib.ExitStack
) -> list[Contender]:
    """Returns the command ``predict`` on a folder of photographs, and the bare forward passes of as many images.

    The command reads JPEG files and writes masks, overlays and ``predictions.json``. The inputs of the forward passes
    lie on the device; one image is in a batch in both cases.

    Args:
      experiment: the run.
      state: what predicts.
      resources: holds the folder until it is closed.
    """
    folder = pathlib.Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="jaxseg-")))
    resources.enter_context(unfinished(folder))
    for number in range(PHOTOGRAPHS):
        write_photograph(folder / "in" / f"{number:03}.jpg", number)
    names = experiment.task.classes.names
    classes = names, experiment.task.classes.palette, tuple(range(len(names)))
    trained = TrainedModel(
        experiment.config, experiment.task.model.module, eval_variables(state), *classes, experiment.mesh
    )
    predictor = Predictor(trained)
    engine = predictor.engine()
    prepared = engine.prepare(np.zeros((*SIZE, 3), np.uint8))
    inputs = [jax.device_put(array[None]) for array in prepared.inputs]

    def files(count: int) -> None:
        for _ in range(count):
            predict_files(lambda: predictor, [folder / "in"], folder / "out")

    def forward(count: int) -> None:
        for _ in range(count * PHOTOGRAPHS):
            jax.block_until_ready(experiment.steps.predict(state, *inputs))

    return [
        Contender("jaxseg", "predict files", files, PHOTOGRAPHS),
        Contender("jaxseg", "forward passes", forward, PHOTOGRAPHS),
    ]


def write_photograph(path: pathlib.Path, seed: int) -> None:
    """Writes a JPEG file with smooth shapes and a little noise, which has about the size of a photograph's file."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (12, 16, 3), np.uint8)
    image = cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC).astype(np.int16)
    image = np.clip(image + rng.integers(-12, 13, image.shape), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())

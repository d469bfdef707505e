"""Compares scoring a split with predicting the same images and copying the predictions to the host."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxseg.benchmarks.jaxseg_steps import as_predict_takes, on_mesh
from jaxseg.benchmarks.timing import Contender
from jaxseg.evaluate import batches_of, score_batches
from jaxseg.run.experiment import Experiment
from jaxseg.run.state import TrainState
from jaxseg.types import Source


def evaluation_contenders(experiment: Experiment, source: Source, state: TrainState) -> list[Contender]:
    """Returns an evaluation from the first batch to the scores, and forward passes and copies of the same batches.

    Batches are read beforehand and kept on the host; those of the forward passes lie on the device already. What is
    copied is a class a pixel, as uint8, or the detections.

    Args:
      experiment: the run.
      source: the split; all of it has to fit into memory.
      state: what is scored.
    """
    with batches_of(experiment, source) as stream:
        batches = list(stream)
    inputs = [on_mesh(experiment, as_predict_takes(experiment.config, batch)) for batch in batches]
    to_copy = TO_COPY[experiment.config.task]

    def evaluate(count: int) -> None:
        for _ in range(count):
            score_batches(experiment, state, source, batches)

    def predict(count: int) -> None:
        for _ in range(count):
            waiting = None
            for arrays in inputs:  # in the same rhythm as an evaluation: the device has the next batch already
                found = to_copy(experiment.steps.predict_batch(state, *arrays))
                jax.device_get(waiting)
                waiting = found
            jax.device_get(waiting)

    images = sum(int(np.count_nonzero(batch.valid)) for batch in batches)
    return [
        Contender("jaxseg", "evaluation", evaluate, images),
        Contender("jaxseg", "forward and copy", predict, images),
    ]


@jax.jit
def _class_maps(logits: jax.Array) -> jax.Array:
    return jnp.argmax(logits, axis=-1).astype(jnp.uint8)


def _as_they_are(detections: Any) -> Any:
    return detections


TO_COPY = {"semantic": _class_maps, "instances": _as_they_are}

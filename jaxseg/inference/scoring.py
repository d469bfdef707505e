"""Scores a split by predictions in tiles, mirrored or at several sizes, made as ``jaxseg predict`` makes them."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxseg.data.semantic.transforms import check_label
from jaxseg.inference import instances, semantic
from jaxseg.inference.engine import Engine, Options, TrainedModel, check_options
from jaxseg.inference.instance_result import InstanceResult
from jaxseg.inference.pipeline import Outcome, run_pipeline
from jaxseg.inference.semantic_result import SemanticResult
from jaxseg.metrics import coco_evaluation
from jaxseg.metrics import semantic as metrics
from jaxseg.models.mask_rcnn.detections import Instances
from jaxseg.run.experiment import Experiment
from jaxseg.run.state import TrainState, eval_variables
from jaxseg.tasks.task import Metric
from jaxseg.types import IGNORE, Source


def score_predictions(experiment: Experiment, state: TrainState, source: Source, options: Options) -> dict[str, Any]:
    """Returns the scores of predictions with some options, in the pixels of the files.

    Label maps and detections are those that ``jaxseg predict`` writes for the same options. Losses are not computed.

    Args:
      experiment: the run.
      state: what to score.
      source: the split.
      options: how images are predicted.

    Raises:
      ValueError: an option is out of range, there are several processes, or an image cannot be read.
    """
    if jax.process_count() > 1:
        raise ValueError(
            f"the run has {jax.process_count()} processes; expected 1 for tile, flips and scales. Evaluate in one."
        )
    config, classes = experiment.config, experiment.task.classes
    ids = tuple(range(len(classes.names)))
    model, variables = experiment.task.model.module, eval_variables(state)
    trained = TrainedModel(config, model, variables, classes.names, classes.palette, ids, experiment.mesh)
    options = check_options(options)
    if config.task == "instances":
        return score_detections(instances.make_engine(trained, options), experiment.task.metric, source, options.batch)
    return score_label_maps(semantic.make_engine(trained, options), len(ids), source, options.batch)


def score_label_maps(engine: Engine, count: int, source: Source, batch: int = 1) -> dict[str, Any]:
    """Returns the scores of label maps in the pixels of the files.

    Args:
      engine: predicts them.
      count: the number of classes.
      source: the split.
      batch: images per batch.
    """
    labels: dict[int, np.ndarray] = {}

    def read(index: int) -> tuple[np.ndarray, None]:
        record = check_label(source.records[index], count)
        labels[index] = record.label
        return record.image, None

    def compare(index: int, result: SemanticResult) -> np.ndarray:
        return confusion_matrix(labels.pop(index), result.mask, count)

    total = metrics.start(count)
    for outcome in _outcomes(engine, source, read, batch, compare):
        total = metrics.add(total, outcome.value)
    return metrics.result(total)


def score_detections(engine: Engine, metric: Metric, source: Source, batch: int = 1) -> dict[str, Any]:
    """Returns the scores of detections in the pixels of the files.

    Args:
      engine: finds the objects.
      metric: that of the task.
      source: the split.
      batch: images per batch.
    """

    def read(index: int) -> tuple[np.ndarray, None]:
        return source.records[index].image, None

    def keep(index: int, result: InstanceResult) -> tuple[Instances, tuple[int, int]]:
        valid = np.ones(len(result.scores), bool)
        found = Instances(result.boxes, result.scores, result.class_ids, valid, result.mask_probabilities)
        return found, result.size

    with metric.start(source) as scoring:
        for outcome in _outcomes(engine, source, read, batch, keep):
            found, size = outcome.value
            scoring = coco_evaluation.add(scoring, found, outcome.item, size)
        return metric.result(scoring)


def _outcomes(engine: Engine, source: Source, read: Callable, batch: int, handle: Callable) -> Any:
    """Yields the outcome of every image of a split.

    Raises:
      Exception: an image that cannot be read or predicted ends the evaluation, since scores need all of them.
    """
    outcome: Outcome
    for outcome in run_pipeline(engine, range(len(source.records)), read, batch, handle):
        if outcome.error is not None:
            raise outcome.error
        yield outcome


def confusion_matrix(label: np.ndarray, predicted: np.ndarray, classes: int, rows: int = 1024) -> np.ndarray:
    """Returns int64 ``[k, k]``: how many pixels of each class, a row each, are predicted as which class.

    Pixels of the value 255 are left out. Some rows are counted at a time, which bounds the memory for huge images.

    >>> confusion_matrix(np.array([[0, 1, 255]]), np.array([[1, 1, 0]]), 2).tolist()
    [[0, 1], [0, 1]]
    """
    total = np.zeros(classes * classes, np.int64)
    for top in range(0, len(label), rows):
        truth, found = label[top : top + rows].astype(np.int64), predicted[top : top + rows]
        counted = truth != IGNORE
        total += np.bincount(truth[counted] * classes + found[counted], minlength=classes * classes)
    return total.reshape(classes, classes)

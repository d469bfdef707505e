"""Scores a split by predictions in tiles, mirrored or at several sizes, made as ``jaxseg predict`` makes them."""

import pathlib
import pickle
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxseg.inference import instances, semantic
from jaxseg.inference.engine import Engine, Options, TrainedModel, check_options, describe_views
from jaxseg.inference.instance_result import InstanceResult
from jaxseg.inference.label_map_scoring import count_label_maps, describe_label_maps, sum_confusions
from jaxseg.inference.pipeline import run_pipeline
from jaxseg.inference.predictor import ENGINES
from jaxseg.inference.results import Result
from jaxseg.inference.run_report import make_report
from jaxseg.inference.shares import handle_share, unless_failed
from jaxseg.metrics import coco_evaluation
from jaxseg.metrics import semantic as metrics
from jaxseg.metrics.details import Details
from jaxseg.models.mask_rcnn.detections import Instances
from jaxseg.parallel.mesh import from_all_processes, make_mesh
from jaxseg.run.experiment import Experiment
from jaxseg.run.state import TrainState, eval_variables
from jaxseg.tasks.task import Metric
from jaxseg.types import Source


def evaluate_views(
    experiment: Experiment,
    state: TrainState,
    sources: Mapping[str, Source],
    options: Options,
    folder: pathlib.Path | None,
) -> dict[str, dict[str, Any]]:
    """Returns the scores of tiled, mirrored or scaled predictions; writes a report about the first split.

    Args:
      experiment: the run.
      state: what to score.
      sources: the splits.
      options: how images are predicted.
      folder: where to write the report; None writes none.
    """
    model, metric = local_model(experiment, state), experiment.task.metric
    first = next(iter(sources))
    scores, details = {}, None
    for kind, source in sources.items():
        wanted = folder is not None and kind == first
        scores[kind], found = score_predictions(model, metric, source, options, wanted)
        details = found or details
    if folder is not None and details is not None:
        draw = partial(draw_panels, model, options)
        make_report(experiment, state, sources[first], first, scores, details, folder, describe_views(options), draw)
    return scores


def local_model(experiment: Experiment, state: TrainState) -> TrainedModel:
    """Returns the model of a state for predictions that each process makes by itself. All processes call it together.

    In a run of several processes, each of them gets whole variables on its own devices.
    """
    classes, variables, mesh = experiment.task.classes, eval_variables(state), experiment.mesh
    if jax.process_count() > 1:
        mesh = make_mesh({"data": -1, "fsdp": 1, "spatial": 1}, jax.local_devices())
        whole = multihost_utils.process_allgather(variables, tiled=True)
        variables = jax.device_put(whole, NamedSharding(mesh, P()))
    ids = tuple(range(len(classes.names)))
    return TrainedModel(
        experiment.config, experiment.task.model.module, variables, classes.names, classes.palette, ids, mesh
    )


def score_predictions(
    trained: TrainedModel, metric: Metric, source: Source, options: Options, with_details: bool = False
) -> tuple[dict[str, Any], Details | None]:
    """Returns the scores of predictions with some options, in the pixels of the files, and their details.

    Label maps and detections are those that ``jaxseg predict`` writes for the same options. Losses are not computed.
    Each process predicts a share of the images, and all of them return the scores of all images.

    Args:
      trained: the model, see ``local_model``.
      metric: that of the task.
      source: the split.
      options: how images are predicted.
      with_details: whether to return the details for a report; else they are None.

    Raises:
      ValueError: an option is out of range, or an image cannot be read.
    """
    share = jax.process_index(), jax.process_count()
    if trained.config.task == "instances":
        engine = instances.make_engine(trained, check_options(options))
        return score_detections(engine, metric, source, options.batch, share, with_details)
    engine = semantic.make_engine(trained, check_options(options._replace(confidence=with_details)))
    own = count_label_maps(engine, len(trained.class_names), source, options.batch, share)
    images = [one for part in from_all_processes(pickle.dumps(own)) for one in pickle.loads(part)]
    scores = metrics.result(sum_confusions(images, len(trained.class_names)))
    return scores, describe_label_maps(images, trained.class_names) if with_details else None


def score_detections(
    engine: Engine,
    metric: Metric,
    source: Source,
    batch: int = 1,
    share: tuple[int, int] = (0, 1),
    with_details: bool = False,
) -> tuple[dict[str, Any], Details | None]:
    """Returns the scores of detections in the pixels of the files, and their details.

    Args:
      engine: finds the objects.
      metric: that of the task; it adds up what all processes have found.
      source: the split.
      batch: images per batch.
      share: which share of the images this process predicts, and how many shares there are.
      with_details: whether to return the details for a report; else they are None.
    """

    def read(index: int) -> tuple[np.ndarray, None]:
        return source.records[index].image, None

    def keep(index: int, result: InstanceResult) -> tuple[Instances, int, tuple[int, int]]:
        valid = np.ones(len(result.scores), bool)
        found = Instances(result.boxes, result.scores, result.class_ids, valid, result.mask_probabilities)
        return found, index, result.size

    with metric.start(source) as scoring:
        for found in handle_share(engine, source, read, batch, share, keep):
            scoring = coco_evaluation.add(scoring, *found)
        return metric.result(scoring), metric.details(scoring, share[0]) if with_details else None


def draw_panels(
    trained: TrainedModel, options: Options, source: Source, indices: Sequence[int]
) -> list[tuple[np.ndarray, ...]]:
    """Returns the panels of some images of a split as they were scored: image, truth, prediction, difference.

    Args:
      trained: the model, see ``local_model``.
      options: how images are predicted.
      source: the split.
      indices: the images.
    """
    engine = ENGINES[trained.config.task](trained, check_options(options))
    draw = {"semantic": semantic.draw_panels, "instances": instances.draw_panels}[trained.config.task]
    records = {}

    def read(index: int) -> tuple[np.ndarray, None]:
        records[index] = source.records[index]
        return records[index].image, None

    def handle(index: int, result: Result) -> tuple[np.ndarray, ...]:
        return draw(source, records.pop(index), result)

    outcomes = run_pipeline(engine, indices, read, options.batch, handle)
    return [outcome.value for outcome in map(unless_failed, outcomes)]

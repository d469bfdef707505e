"""Evaluates a state on a split: each image once, on any number of devices and processes."""

import pathlib
import sys
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import ml_collections
import numpy as np

from jaxseg.config.changes import field_names, get_value
from jaxseg.config.resolution import microbatches
from jaxseg.data.sources import open_source
from jaxseg.inference import EXAMPLES
from jaxseg.inference.engine import Options, changes_views
from jaxseg.inference.export_scoring import score_export
from jaxseg.inference.exported import ExportedPredictor
from jaxseg.inference.run_report import make_report
from jaxseg.inference.scoring import evaluate_views
from jaxseg.metrics.details import Details
from jaxseg.parallel.mesh import batch_share
from jaxseg.parallel.processes import is_main_process, main_process_first
from jaxseg.run import checkpoint_reader, workdir
from jaxseg.run.experiment import Experiment, build
from jaxseg.run.fit import fit_to_memory
from jaxseg.run.scored_splits import check_scored, scored_splits
from jaxseg.run.state import TrainState
from jaxseg.types import Source

# Fields of config.data that prepare images for a model. The run's own are used, since it was trained with them.
AS_TRAINED = ("image_size", "crop_size", "resize", "min_size", "max_size", "mean", "std", "scale")

# Fields and sections of a config that an evaluation uses, except for the fields above.
USED = ("data", "mesh", "deterministic", "compilation_cache")

# Older runs, made before these fields were, did this.
BEFORE = {"resize": "stretch"}


def score(
    experiment: Experiment,
    state: TrainState,
    source: Source,
    stopped: Callable[[], bool] = lambda: False,
    finish: Callable[[Any], Any] | None = None,
) -> Any:
    """Returns the scores of a state on a split.

    Args:
      experiment: the run.
      state: what to score.
      source: the split.
      stopped: called before every batch; True ends the evaluation, which then returns None.
      finish: makes the result from the state of the metric; None returns ``task.metric.result``, the scores.
    """
    with batches_of(experiment, source) as batches:
        return score_batches(experiment, state, source, batches, stopped, finish)


def score_with_details(
    experiment: Experiment, state: TrainState, source: Source, stopped: Callable[[], bool] = lambda: False
) -> tuple[dict[str, Any], Details] | None:
    """Returns the scores of a state on a split and their details for the report, see ``score``."""
    metric, (share, _) = experiment.task.metric, batch_share(experiment.mesh)
    return score(experiment, state, source, stopped, lambda found: (metric.result(found), metric.details(found, share)))


def score_batches(
    experiment: Experiment,
    state: TrainState,
    source: Source,
    batches: Iterable[Any],
    stopped: Callable[[], bool] = lambda: False,
    finish: Callable[[Any], Any] | None = None,
) -> Any:
    """Returns the scores of a state on some batches of a split, see ``score``."""
    task, steps = experiment.task, experiment.steps
    waiting = None

    def add(metric: Any, scored: Any, batch: Any) -> Any:
        return task.metric.add(metric, steps.fetch(scored), batch)

    with task.metric.start(source) as metric:
        for batch in batches:
            if stopped():
                return None
            # The results of one batch are copied to the host while the device works on the next.
            scored = steps.evaluate(state, steps.place(batch))
            if waiting is not None:
                metric = add(metric, *waiting)
            waiting = scored, batch
        if waiting is not None:
            metric = add(metric, *waiting)
        return (finish or task.metric.result)(metric)


def batches_of(experiment: Experiment, source: Source) -> Any:
    """Returns the batches of this process's share of a split, in order; each is as large as a microbatch."""
    config, (share, shares) = experiment.config, batch_share(experiment.mesh)
    rows = config.train.batch_size // microbatches(config)
    return experiment.task.data.eval_batches(
        source, config.data, batch_size=rows, process_index=share, process_count=shares
    )


def draw_examples(experiment: Experiment, state: TrainState, source: Source) -> np.ndarray:
    """Draws the first few images of a split with their labels and predictions, uint8 ``[h, w, 3]``.

    Every process predicts the same images, since each holds a part of the state.
    """
    predict = partial(experiment.steps.predict, state)
    return EXAMPLES[experiment.config.task](experiment.config, source, predict)


def evaluate(
    config: ml_collections.ConfigDict,
    folder: pathlib.Path,
    checkpoint: str,
    report: bool = False,
    options: Options | None = None,
) -> dict[str, dict[str, Any]]:
    """Evaluates a checkpoint of a run on the val and test splits of a config.

    Args:
      config: the data. The model, and how images are prepared for it, are those of the run.
      folder: the run's workdir.
      checkpoint: "latest", "best" or a step number.
      report: write ``report.html`` and its CSV files into the workdir.
      options: score predictions in tiles, mirrored or at several sizes, in the pixels of the files. None scores whole
        images once, as the training loop does.

    Returns:
      The scores, by kind of split.

    Raises:
      ValueError: there is no such run, checkpoint or split.
    """
    as_predicted = options is not None and changes_views(options)
    saved, class_names, palette = workdir.load(folder)
    with saved.unlocked():
        own = BEFORE | {field: saved.data[field] for field in AS_TRAINED if field in saved.data}
        saved.data.update(config.data.to_dict() | own)
        saved.mesh = config.mesh
    experiment = build(saved, class_names, palette)
    kinds = scored_splits(saved)
    if not kinds:
        raise ValueError("data.val and data.test are empty; expected the name of a split. Set one of them.")
    state = load_state(experiment, folder, checkpoint)
    _say(f"evaluating step {int(state.step)} of {folder}")
    with main_process_first():
        sources = {kind: open_source(saved.data, saved.data[kind], class_names) for kind in kinds}
    check_scored(sources, saved.task)
    if as_predicted:
        return evaluate_views(experiment, state, sources, options, folder if report else None)
    if saved.train.accumulate == "auto":
        experiment = fit_to_memory(experiment, None, list(sources.values()), _say)
    if not report:
        return {kind: score(experiment, state, source) for kind, source in sources.items()}
    evaluated = {kind: score_with_details(experiment, state, source) for kind, source in sources.items()}
    scores = {kind: found for kind, (found, _) in evaluated.items()}
    make_report(experiment, state, sources[kinds[0]], kinds[0], scores, evaluated[kinds[0]][1], folder)
    return scores


def _say(line: str) -> None:
    """Prints a line on stderr: the scores on stdout are JSON for programs."""
    if is_main_process():
        print(line, file=sys.stderr)


def warn_of_unused(config: ml_collections.ConfigDict, folder: pathlib.Path) -> None:
    """Warns of each field that differs from the run's own and is not used by an evaluation.

    Args:
      config: that of the run, with changes.
      folder: the run's workdir.
    """
    saved = workdir.load(folder)[0]
    for field in field_names(config):
        section, _, name = field.partition(".")
        counts = section in USED and not (section == "data" and name in AS_TRAINED)
        if not counts and get_value(config, field) != get_value(saved, field):
            warnings.warn(
                f"{field}={get_value(config, field)} is not used: an evaluation takes the run's own, "
                f"{get_value(saved, field)}",
                stacklevel=3,
            )


def evaluate_export(
    predictor: ExportedPredictor, data: ml_collections.ConfigDict | None = None
) -> dict[str, dict[str, Any]]:
    """Evaluates an exported model on the val and test splits of a config; returns the scores, by kind of split.

    Args:
      predictor: the exported model.
      data: ``config.data`` of other data; None uses those of its run. Images are prepared as the run prepared them.

    Raises:
      ValueError: there is no such split, or it cannot be scored.
    """
    config = predictor.trained.config.copy_and_resolve_references()
    if data is not None:
        with config.unlocked():
            own = BEFORE | {field: config.data[field] for field in AS_TRAINED if field in config.data}
            config.data.update(data.to_dict() | own)
    kinds = scored_splits(config)
    if not kinds:
        raise ValueError("data.val and data.test are empty; expected the name of a split. Set one of them.")
    sources = {kind: open_source(config.data, config.data[kind], predictor.class_names) for kind in kinds}
    check_scored(sources, config.task)
    return {kind: score_export(predictor, config.data, source) for kind, source in sources.items()}


def load_state(experiment: Experiment, folder: pathlib.Path, checkpoint: str) -> TrainState:
    """Reads the state of a run; changes nothing in its folder.

    Args:
      experiment: the run.
      folder: its workdir.
      checkpoint: "latest", "best" or a step number.

    Raises:
      ValueError: there is no such checkpoint.
    """
    best_metric = experiment.config.train.best_metric
    return checkpoint_reader.load_checkpoint(folder, experiment.steps.abstract_state, checkpoint, best_metric)


if __name__ == "__main__":
    raise SystemExit("jaxseg: this module is no command; run python -m jaxseg evaluate")

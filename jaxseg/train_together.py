"""Trains several runs of the same shape as one program: with other seeds, or on other folds of the data.

Each member is an ordinary run in a folder of its own, ``WORKDIR/seed_0`` or ``WORKDIR/fold_0``. Its config, checkpoints
and metrics.jsonl are those of a run that was trained alone, up to rounding. One input pipeline reads all batches,
and one program takes the step of all. The runs are evaluated one after another. ``WORKDIR/ensemble.json`` names the
members and has the mean and the spread of their scores.
"""

import contextlib
import pathlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from jaxseg.data.stacked import stacked_stream
from jaxseg.parallel.mesh import batch_share
from jaxseg.reporting import curves
from jaxseg.reporting.console import announce
from jaxseg.reporting.ensemble_page import write_ensemble_page
from jaxseg.reporting.log import read_lines
from jaxseg.run import ensemble
from jaxseg.run.fit_members import fit_members
from jaxseg.run.goodput import STEPS, Goodput
from jaxseg.run.members import MemberSteps, check_together, compile_members
from jaxseg.run.open_run import Run, Watch, prepare, start_run, watched_process
from jaxseg.run.signals import Interrupted
from jaxseg.run.state import TrainState
from jaxseg.storage import make_folder
from jaxseg.train import evaluate, evaluates, finish_run, is_due, report_step


class Together(NamedTuple):
    """Runs that are trained together.

    Attributes:
      runs: the members.
      steps: their compiled functions.
    """

    runs: Sequence[Run]
    steps: MemberSteps


def train_together(
    config: ml_collections.ConfigDict, folder: pathlib.Path, *, seeds: int = 0, folds: int = 0, console: str = "auto"
) -> dict[str, Any]:
    """Trains several runs of a config to their end, from their checkpoints if there are any, and evaluates them.

    Args:
      config: the experiment.
      folder: the workdir of all.
      seeds: the number of runs, with the seeds ``config.seed``, ``config.seed + 1`` and so on; 0 for folds.
      folds: the number of runs that are validated on different parts of the training split; 0 for seeds.
      console: see ``train``. Only the first member prints its progress.

    Returns:
      Mean and standard deviation of the scores, by kind of split: ``{"val": {"mean_iou": (0.9, 0.01), ...}}``.

    Raises:
      ValueError: see ``train`` and ``run.members.check_together``.
      Interrupted: SIGTERM or Ctrl-C came, and all runs have saved.
    """
    configs = ensemble.member_configs(config, seeds, folds)
    ensemble.check_folder(folder, configs)
    clock = Goodput()
    with contextlib.ExitStack() as stack:
        watch = stack.enter_context(watched_process(clock))
        make_folder(folder)
        together, states = open_members(stack, watch, configs, folder, console)
        states = take_steps(together, states)
        singles = save(together, states)
        scores: dict[str, dict[str, Any]] = {}
        for run, state in zip(together.runs, singles, strict=True):
            evaluated = {kind: evaluate(run, state, kind) for kind in run.scored}
            finish_run(run, state, evaluated)
            scores[run.folder.name] = {kind: found for kind, (found, _) in evaluated.items()}
        summary = ensemble.summarize(list(scores.values()))
        ensemble.write(folder, list(configs), summary)
        write_ensemble_page(folder, scores, summary)
        for line in ensemble.describe_summary(summary, len(configs)):
            announce(console, line)
    for run in together.runs:
        curves.draw_curves(run.folder / "curves.png", read_lines(run.folder / "metrics.jsonl"))
    return summary


def open_members(
    stack: contextlib.ExitStack,
    watch: Watch,
    configs: Mapping[str, ml_collections.ConfigDict],
    folder: pathlib.Path,
    console: str,
) -> tuple[Together, TrainState]:
    """Opens the runs at the newest step that all of them have; returns them and their states."""
    at = ensemble.newest_common_step([folder / name for name in configs])
    runs: list[Run] = []
    singles: list[TrainState | None] = []
    for name, config in configs.items():
        if runs:  # folds may differ by one image
            config.train.steps = runs[0].experiment.config.train.steps
        prepared = prepare(config, folder / name, runs[0].experiment if runs else None)
        if not runs:
            check_together(prepared.experiment)
        options = {"at": at, "together": True}
        run, state = start_run(stack, prepared, folder / name, watch, None, "quiet" if runs else console, **options)
        runs.append(run)
        singles.append(state)
    names = {run.train.class_names for run in runs}
    if len(names) > 1:
        raise ValueError("the folds have images of different classes; expected all classes in each. Use fewer folds.")
    first = runs[0]
    steps = compile_members(first.experiment, [run.experiment.config.seed for run in runs])
    trained = first.train if at < first.experiment.config.train.steps else None
    say = partial(announce, console)
    fitted = fit_members(first.experiment, steps, len(runs), trained, list(first.scored.values()), say)
    runs = [run._replace(experiment=run.experiment._replace(steps=fitted.steps)) for run in runs]
    states = (
        steps.stack([state for state in singles if state is not None]) if at else steps.init(prepared.initial.variables)
    )
    return Together(runs, steps), states


def take_steps(together: Together, states: TrainState) -> TrainState:
    """Trains from the states to the end of the runs, saving and evaluating on the way."""
    runs, steps = together
    first, config = runs[0], runs[0].experiment.config
    start, total = int(steps.split(states)[0].step), config.train.steps
    if start >= total:
        return states
    if evaluates(first, start):  # stopped before they were evaluated
        evaluate_missing(together, states, start)
    batches = stacked_stream(
        [training_data(run) for run in runs],
        start_step=start,
        workers=config.data.workers,
    )
    with batches, first.clock.spend(STEPS):
        logs = None
        for step in range(start + 1, total + 1):
            batch, waited = first.clock.wait(batches, None if logs is None else jax.tree.leaves(logs["loss"])[-1])
            # Read the logs of the step before while the device works on this one.
            states, new_logs = steps.train(states, steps.place(batch))
            if logs is not None:
                report_steps(together, step - 1, logs)
            logs = {**new_logs, "data_wait": np.full(len(runs), waited)}
            saves = first.stopped.poll() or evaluates(first, step) or is_due(step, config.train.checkpoint_every)
            if saves or step == total:
                report_steps(together, step, logs)
                logs = None
            if saves and step < total:
                save(together, states)
                if evaluates(first, step):
                    evaluate_missing(together, states, step)
    return states


def training_data(run: Run) -> Any:
    """Returns the training batches of a run by step, as it has them when it is trained alone."""
    config, (share, shares) = run.experiment.config, batch_share(run.experiment.mesh)
    return run.experiment.task.data.train_dataset(
        run.train,
        config.data,
        batch_size=config.train.batch_size,
        seed=config.seed,
        process_index=share,
        process_count=shares,
    )


def report_steps(together: Together, step: int, logs: Mapping[str, jax.Array]) -> None:
    """Reports a step of each run."""
    logs = jax.device_get(logs)
    for number, run in enumerate(together.runs):
        report_step(run, step, {name: values[number] for name, values in logs.items()})


def save(together: Together, states: TrainState) -> list[TrainState]:
    """Saves the state of each run, and returns it.

    All runs finish a save before any of them starts the next, so there is always a step that all of them have.

    Raises:
      Interrupted: a signal asked the runs to stop; the states are saved.
    """
    singles = together.steps.split(states)
    for run in together.runs:
        run.report.flush()
        run.checkpoints.finish()
    for run, state in zip(together.runs, singles, strict=True):
        run.checkpoints.save(state)
    stopped = together.runs[0].stopped
    if stopped.agreed:
        for run in together.runs:
            run.checkpoints.finish()
        raise Interrupted(stopped.received, int(singles[0].step))
    return singles


def evaluate_missing(together: Together, states: TrainState, step: int) -> None:
    """Evaluates the runs that have no scores of this step yet."""
    for run, state in zip(together.runs, together.steps.split(states), strict=True):
        if run.checkpoints.scores.get(step) is None:
            evaluate(run, state, "val")

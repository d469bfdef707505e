"""Prepares and starts a run: its data, its workdir, its checkpoints and its report."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import ml_collections

from jaxseg.config.effects import without_effect
from jaxseg.config.resolution import notes
from jaxseg.data.sources import open_source
from jaxseg.parallel.processes import is_main_process, main_process_first
from jaxseg.reporting.console import announce, announce_data
from jaxseg.reporting.log import Report
from jaxseg.reporting.model_table import write_model_table
from jaxseg.reporting.trackers import check_trackers
from jaxseg.run import costs, signals, workdir
from jaxseg.run.checkpoints import Checkpoints
from jaxseg.run.experiment import Experiment, build, resolve
from jaxseg.run.fit import fit_to_memory
from jaxseg.run.goodput import CHECKPOINT, Goodput
from jaxseg.run.initial_weights import InitialWeights, initial_weights_of, set_norm_epsilon
from jaxseg.run.lock import locked
from jaxseg.run.profiling import Profile
from jaxseg.run.scored_splits import check_scored, scored_splits
from jaxseg.run.sessions import Session, open_session
from jaxseg.run.state import TrainState
from jaxseg.run.upgrade import flatten
from jaxseg.types import Source


class Prepared(NamedTuple):
    """What a config asks for, checked before anything is written or compiled.

    Attributes:
      experiment: task, steps and the resolved config.
      train: the split to learn from.
      scored: the splits to score, by kind: "val", "test".
      classes: names, colors and ids of the classes.
      initial: the initial weights.
      remarks: what the run says about its config, its weights and the workdir.
    """

    experiment: Experiment
    train: Source
    scored: Mapping[str, Source]
    classes: workdir.Classes
    initial: InitialWeights
    remarks: Sequence[str]


class Watch(NamedTuple):
    """What watches the process; runs that are trained together share it.

    Attributes:
      clock: where the time goes.
      compiling: the time that compiling has taken.
      stopped: whether a signal asked the process to stop.
    """

    clock: Goodput
    compiling: costs.CompileTime
    stopped: signals.Interruption


class Run(NamedTuple):
    """What the loop works with.

    Attributes:
      experiment: task, steps and config.
      folder: the workdir.
      train: the split to learn from.
      scored: the splits to score, by kind: "val", "test".
      checkpoints: the saved states.
      report: where numbers go.
      stopped: whether a signal asked the run to stop.
      profile: the steps to trace.
      clock: where the time goes.
      compiling: the time that compiling has taken.
      session: the record of this start of the run.
    """

    experiment: Experiment
    folder: pathlib.Path
    train: Source
    scored: Mapping[str, Source]
    checkpoints: Checkpoints
    report: Report
    stopped: signals.Interruption
    profile: Profile
    clock: Goodput
    compiling: costs.CompileTime
    session: Session


@contextlib.contextmanager
def watched_process(clock: Goodput) -> Iterator[Watch]:
    """Watches the process: its time, its compiler and its signals."""
    with costs.CompileTime() as compiling, clock, signals.watched() as stopped:
        yield Watch(clock, compiling, stopped)


def prepare(config: ml_collections.ConfigDict, folder: pathlib.Path, like: Experiment | None = None) -> Prepared:
    """Opens the data, builds the experiment and checks them against each other and the workdir. Nothing is written.

    Args:
      config: the experiment.
      folder: the workdir.
      like: an experiment that differs in seed and data only; its compiled steps are used. None builds a new one.

    Raises:
      ValueError: the config contradicts itself, the data, the devices, the workdir or the initial weights.
    """
    check_trackers(config.trackers)
    with main_process_first():
        source = open_source(config.data, config.data.train)
        scored = {
            kind: open_source(config.data, config.data[kind], source.class_names) for kind in scored_splits(config)
        }
    given, config = config, resolve(config, source)
    set_norm_epsilon(config, folder)
    experiment = build(config, source.class_names, source.palette) if like is None else like._replace(config=config)
    check_scored(scored, config.task)
    initial = initial_weights_of(experiment, folder)
    category_ids = source.catalogue.category_ids if source.catalogue else ()
    classes = workdir.Classes(source.class_names, source.palette, category_ids)
    changes = workdir.compare(folder, config, classes)
    remarks = [f"{folder} {initial.message}"] if initial.message else []
    remarks += [
        *notes(given, config),
        *without_effect(given),
        *(f"changed since {folder} was last used: {change}" for change in changes),
    ]
    return Prepared(experiment, source, scored, classes, initial, remarks)


def start_run(
    stack: contextlib.ExitStack,
    prepared: Prepared,
    folder: pathlib.Path,
    watch: Watch,
    profile_steps: tuple[int, int] | None,
    console: str,
    at: int | None = None,
    together: bool = False,
) -> tuple[Run, TrainState | None]:
    """Takes the workdir, checks that the steps fit into memory, and restores or initializes the state.

    Args:
      stack: closes what the run opens.
      prepared: what the run consists of.
      folder: the workdir.
      watch: the clock and the signals of the process.
      profile_steps: see ``train``.
      console: see ``train``.
      at: the step to restore, 0 for none; None restores the newest that can be read.
      together: another program takes the steps of this run and others. The state of a fresh run is then None.
    """
    experiment, source, scored, _, initial, remarks = prepared
    config = experiment.config
    check_lock = _take_workdir(stack, prepared, folder, console)
    checkpoints = stack.enter_context(Checkpoints(folder, config.train.keep, config.train.best_metric, check_lock))
    if not together:  # else this run's own steps are not used, or are those of another run
        trains = (checkpoints.newest() or 0) < config.train.steps
        say = partial(announce, console if is_main_process() else "quiet")
        experiment = fit_to_memory(experiment, source if trains else None, list(scored.values()), say)
    with watch.clock.spend(CHECKPOINT):
        state = checkpoints.restore(experiment.steps.abstract_state, at)
    if state is None and not together:
        state = experiment.steps.init(initial.variables)
        initial.variables.clear()  # frees the host's copy of the model
    _describe_run(prepared, folder)
    start, total = 0 if state is None else int(state.step), config.train.steps
    report = stack.enter_context(
        Report(
            folder,
            start,
            total,
            config.train.batch_size,
            speaks=is_main_process(),
            console=console,
            trackers=config.trackers,
            config=flatten(config.to_dict()),
            shares=watch.clock.shares,
        )
    )
    session = stack.enter_context(open_session(folder, start, writes=is_main_process()))
    for remark in remarks:
        report.say(remark)
    if start:
        report.say(f"{folder} resumes from step {start}" if start < total else f"{folder} is finished; evaluating it")
    profile = stack.enter_context(Profile(folder / "profile", profile_steps if is_main_process() else None))
    for remark in _remarks_on_profile(profile_steps, start, total):
        report.say(remark)
    run = Run(
        experiment, folder, source, scored, checkpoints, report, watch.stopped, profile, watch.clock,
        watch.compiling, session,
    )  # fmt: skip
    return run, state


def _take_workdir(
    stack: contextlib.ExitStack, prepared: Prepared, folder: pathlib.Path, console: str
) -> Callable[[], None] | None:
    """Locks the workdir and describes the data in it, in the main process, before the other processes go on.

    Returns:
      A function that raises ValueError if another process has taken the workdir over; None in other processes.
    """
    experiment, check_lock = prepared.experiment, None
    with main_process_first():
        if is_main_process():
            check_lock = stack.enter_context(locked(folder))
            announce_data(folder, {"train": prepared.train, **prepared.scored}, console, experiment.config.task)
    return check_lock


def _remarks_on_profile(window: tuple[int, int] | None, start: int, total: int) -> list[str]:
    """Returns a sentence where no step of this start is in the window of steps to trace."""
    if window is None or start < window[0] <= total:
        return []
    return [f"--profile_steps={window[0]},{window[1]} traces nothing: this start takes steps {start + 1} to {total}"]


def _describe_run(prepared: Prepared, folder: pathlib.Path) -> None:
    """Writes config, classes and the table of the model. By now, the run has the state that belongs to them."""
    experiment = prepared.experiment
    with main_process_first():
        if is_main_process():
            workdir.write(folder, experiment.config, prepared.classes)
            write_model_table(folder / "model.txt", experiment.task.model.module, experiment.task.model.example)

"""The training loop, read from top to bottom: set up, step, save, evaluate."""

import contextlib
import pathlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import ml_collections

from jaxseg.config.resolution import notes
from jaxseg.data.sources import open_source
from jaxseg.evaluate import check_scored, draw_examples, score, scored_splits
from jaxseg.metrics.details import Details
from jaxseg.parallel.mesh import batch_share
from jaxseg.parallel.processes import is_main_process, main_process_first
from jaxseg.report import make_report
from jaxseg.reporting import curves, pictures
from jaxseg.reporting.console import announce, announce_data
from jaxseg.reporting.log import Report, read_lines
from jaxseg.reporting.model_table import write_model_table
from jaxseg.reporting.trackers import check_trackers
from jaxseg.run import costs, signals, workdir
from jaxseg.run.checkpoints import Checkpoints
from jaxseg.run.errors import check_finite
from jaxseg.run.experiment import Experiment, build, resolve
from jaxseg.run.fit import fit_to_memory
from jaxseg.run.goodput import CHECKPOINT, EVALUATION, STEPS, Goodput, describe
from jaxseg.run.initial_weights import InitialWeights, initial_weights_of, set_norm_epsilon
from jaxseg.run.lock import locked
from jaxseg.run.profiling import Profile
from jaxseg.run.sessions import Session, open_session
from jaxseg.run.signals import Interrupted
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


def train(
    config: ml_collections.ConfigDict,
    folder: pathlib.Path,
    profile_steps: tuple[int, int] | None = None,
    console: str = "auto",
) -> dict[str, Any]:
    """Trains a config to its end, from its newest checkpoint if there is one, and evaluates it.

    Args:
      config: the experiment.
      folder: the workdir, made if needed.
      profile_steps: the first and the last step to trace into ``folder / "profile"``; None traces none.
      console: what the run prints: "auto", "bar", "lines", "quiet" or "json", see ``reporting.console``.

    Returns:
      The last scores, by kind of split.

    Raises:
      ValueError: the config contradicts itself, the data, the devices, the workdir or the initial weights. It is
        raised before any compilation.
      FloatingPointError: a loss is not finite.
      Interrupted: SIGTERM or Ctrl-C came, and the run has saved.
    """
    clock = Goodput()
    prepared = prepare(config, folder)
    with contextlib.ExitStack() as stack:
        run, state = start_run(stack, prepared, folder, clock, profile_steps, console)
        state = take_steps(run, state)
        save(run, state)
        evaluated = {kind: evaluate(run, state, kind) for kind in run.scored}
        finish_run(run, state, evaluated)
    if is_main_process():
        curves.draw(folder / "curves.png", read_lines(folder / "metrics.jsonl"))
    return {kind: scores for kind, (scores, _) in evaluated.items()}


def prepare(config: ml_collections.ConfigDict, folder: pathlib.Path) -> Prepared:
    """Opens the data, builds the experiment and checks them against each other and the workdir. Nothing is written.

    Raises:
      ValueError: the config contradicts itself, the data, the devices, the workdir or the initial weights.
    """
    check_trackers(config.get("trackers", ("tensorboard",)))
    with main_process_first():
        source = open_source(config.data, config.data.train)
        scored = {
            kind: open_source(config.data, config.data[kind], source.class_names) for kind in scored_splits(config)
        }
    given, config = config, resolve(config, source)
    set_norm_epsilon(config, folder)
    experiment = build(config, source.class_names, source.palette)
    check_scored(scored, config.task)
    initial = initial_weights_of(experiment, folder)
    category_ids = source.catalogue.category_ids if source.catalogue else ()
    classes = workdir.Classes(source.class_names, source.palette, category_ids)
    changes = workdir.compare(folder, config, classes)
    remarks = [f"{folder} {initial.message}"] if initial.message else []
    remarks += [*notes(given, config), *(f"changed since {folder} was last used: {change}" for change in changes)]
    return Prepared(experiment, source, scored, classes, initial, remarks)


def start_run(
    stack: contextlib.ExitStack,
    prepared: Prepared,
    folder: pathlib.Path,
    clock: Goodput,
    profile_steps: tuple[int, int] | None,
    console: str,
) -> tuple[Run, TrainState]:
    """Takes the workdir, checks that the steps fit into memory, and restores or initializes the state.

    Args:
      stack: closes what the run opens.
      prepared: what the run consists of.
      folder: the workdir.
      clock: the clock of the run, not yet entered.
      profile_steps: see ``train``.
      console: see ``train``.
    """
    experiment, source, scored, classes, initial, remarks = prepared
    config, check_lock = experiment.config, None
    with main_process_first():
        if is_main_process():
            check_lock = stack.enter_context(locked(folder))
            workdir.write(folder, config, classes)
            announce_data(folder, {"train": source, **scored}, console, config.task)
            write_model_table(folder / "model.txt", experiment.task.model.module, experiment.task.model.example)
    compiling = stack.enter_context(costs.CompileTime())
    stack.enter_context(clock)
    stopped = stack.enter_context(signals.watched())
    checkpoints = stack.enter_context(Checkpoints(folder, config.train.keep, config.train.best_metric, check_lock))
    trains = (checkpoints.newest() or 0) < config.train.steps
    say = partial(announce, console if is_main_process() else "quiet")
    experiment = fit_to_memory(experiment, source if trains else None, list(scored.values()), say)
    with clock.spend(CHECKPOINT):
        state = checkpoints.restore_newest(experiment.steps.abstract_state)
    state = experiment.steps.init(initial.variables) if state is None else state
    initial.variables.clear()  # frees the host's copy of the model
    start, total = int(state.step), config.train.steps
    report = stack.enter_context(
        Report(
            folder,
            start,
            total,
            config.train.batch_size,
            speaks=is_main_process(),
            console=console,
            trackers=config.get("trackers", ("tensorboard",)),
            config=flatten(config.to_dict()),
            shares=clock.shares,
        )
    )
    session = stack.enter_context(open_session(folder, start, writes=is_main_process()))
    for remark in remarks:
        report.say(remark)
    if start:
        report.say(f"{folder} resumes from step {start}" if start < total else f"{folder} is finished; evaluating it")
    profile = stack.enter_context(Profile(folder / "profile", profile_steps if is_main_process() else None))
    run = Run(
        experiment, folder, source, scored, checkpoints, report, stopped, profile, clock, compiling, session
    )  # fmt: skip
    return run, state


def take_steps(run: Run, state: TrainState) -> TrainState:
    """Trains from the state to the end of the run, saving and evaluating on the way."""
    config, steps = run.experiment.config, run.experiment.steps
    start, total = int(state.step), config.train.steps
    if start >= total:
        return state
    if evaluates(run, start) and run.checkpoints.scores.get(start) is None:  # stopped before it was evaluated
        evaluate(run, state, "val")
    share, shares = batch_share(run.experiment.mesh)
    batches = run.experiment.task.data.train_batches(
        run.train,
        config.data,
        batch_size=config.train.batch_size,
        seed=config.seed,
        start_step=start,
        process_index=share,
        process_count=shares,
    )
    with batches, run.clock.spend(STEPS):
        logs = None
        for step in range(start + 1, total + 1):
            batch, waited = run.clock.wait(batches, None if logs is None else logs["loss"])
            # Read the logs of the step before while the device works on this one.
            with run.profile.step(step):
                state, new_logs = steps.train(state, steps.place(batch))
            run.profile.done(step, new_logs)
            if logs is not None:
                note(run, step - 1, logs)
            logs = {**new_logs, "data_wait": waited}
            stops = run.stopped.poll()
            saves = stops or evaluates(run, step) or is_due(step, config.train.checkpoint_every)
            if saves or step == total:
                note(run, step, logs)
                logs = None
            if saves and step < total:
                save(run, state)
                if evaluates(run, step):
                    evaluate(run, state, "val")
    return state


def evaluates(run: Run, step: int) -> bool:
    """Returns whether the validation split is evaluated after this step, and not only at the end."""
    train = run.experiment.config.train
    return "val" in run.scored and 0 < step < train.steps and is_due(step, train.evaluate_every)


def is_due(step: int, every: int) -> bool:
    """Returns whether something done every few steps is due after this step; 0 means never."""
    return every > 0 and step % every == 0


def note(run: Run, step: int, logs: Mapping[str, Any]) -> None:
    """Reports a step.

    Raises:
      FloatingPointError: its loss or gradient is not finite.
    """
    logs = {name: float(value) for name, value in jax.device_get(logs).items()}
    run.report.train(step, logs)
    check_finite(step, logs, run.checkpoints.newest)


def evaluate(run: Run, state: TrainState, kind: str) -> tuple[dict[str, Any], Details | None]:
    """Evaluates a saved state on "val" or "test", reports the scores and draws a few examples.

    Returns:
      The scores and, after the last step, their details for the report.

    Raises:
      Interrupted: a signal stopped it.
    """
    source, step = run.scored[kind], int(state.step)
    task, last = run.experiment.task, step >= run.experiment.config.train.steps
    share, _ = batch_share(run.experiment.mesh)

    def finish(metric: Any) -> tuple[dict[str, Any], Details | None]:
        return task.metric.result(metric), task.metric.details(metric, share) if last else None

    with run.clock.spend(EVALUATION):
        found = score(run.experiment, state, source, run.stopped.poll, finish)
        if found is None:
            run.checkpoints.finish()
            raise Interrupted(run.stopped.received, step)
        scores, details = found
        run.report.scores(step, kind, scores, source.class_names)
        if kind == "val":
            run.checkpoints.add_scores(step, scores)
        picture = draw_examples(run.experiment, state, source)
        if is_main_process():
            pictures.write(run.folder / "pictures" / f"{kind}_{step:07d}.png", picture)
        run.report.picture(step, kind, picture)
    run.report.restart_clock(step)
    return scores, details


def save(run: Run, state: TrainState) -> None:
    """Saves a state.

    Raises:
      Interrupted: a signal asked the run to stop; the state is saved.
    """
    with run.clock.spend(CHECKPOINT):
        run.report.flush()
        run.checkpoints.save(state)
        if not run.stopped.agreed:
            return
        run.checkpoints.finish()
    raise Interrupted(run.stopped.received, int(state.step))


def finish_run(run: Run, state: TrainState, evaluated: Mapping[str, tuple[dict[str, Any], Details | None]]) -> None:
    """Waits for the last checkpoint, records what the run has cost, and writes its report.

    Args:
      run: the run.
      state: its last state.
      evaluated: the scores and their details, by kind of split.
    """
    with run.clock.spend(CHECKPOINT):
        run.checkpoints.finish()
    memory = costs.peak_memory()
    run.report.costs(run.compiling.seconds, memory, describe(run.clock.shares()))
    run.session.save(
        last_step=int(state.step),
        images_per_second=run.report.images_per_second,
        compile_seconds=round(run.compiling.seconds, 1),
        peak_memory=memory,
        goodput=run.clock.shares(),
    )
    if evaluated:
        kind = next(iter(evaluated))
        scores = {kind: found for kind, (found, _) in evaluated.items()}
        make_report(run.experiment, state, run.scored[kind], kind, scores, evaluated[kind][1], run.folder)
        run.report.say(f"the report is {run.folder / 'report.html'}")

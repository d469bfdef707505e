"""The training loop, read from top to bottom: set up, step, save, evaluate."""

import contextlib
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections

from jaxseg.evaluate import draw_examples, score
from jaxseg.inference.run_report import make_report
from jaxseg.metrics.details import Details
from jaxseg.parallel.mesh import batch_share
from jaxseg.parallel.processes import is_main_process
from jaxseg.reporting import curves, pictures
from jaxseg.reporting.log import read_lines
from jaxseg.run import costs
from jaxseg.run.ensemble import check_folder
from jaxseg.run.errors import check_finite
from jaxseg.run.goodput import CHECKPOINT, EVALUATION, STEPS, Goodput, describe_shares
from jaxseg.run.open_run import Run, prepare, start_run, watched_process
from jaxseg.run.signals import Interrupted
from jaxseg.run.state import TrainState


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
    check_folder(folder)
    prepared = prepare(config, folder)
    with contextlib.ExitStack() as stack:
        watch = stack.enter_context(watched_process(clock))
        run, state = start_run(stack, prepared, folder, watch, profile_steps, console)
        state = take_steps(run, state)
        save(run, state)
        evaluated = {kind: evaluate(run, state, kind) for kind in run.scored}
        finish_run(run, state, evaluated)
    if is_main_process():
        curves.draw_curves(folder / "curves.png", read_lines(folder / "metrics.jsonl"))
    return {kind: scores for kind, (scores, _) in evaluated.items()}


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
                report_step(run, step - 1, logs)
            logs = {**new_logs, "data_wait": waited}
            stops = run.stopped.poll()
            saves = stops or evaluates(run, step) or is_due(step, config.train.checkpoint_every)
            if saves or step == total:
                report_step(run, step, logs)
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


def report_step(run: Run, step: int, logs: Mapping[str, Any]) -> None:
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
    run.report.costs(run.compiling.seconds, memory, describe_shares(run.clock.shares()))
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


if __name__ == "__main__":
    raise SystemExit("jaxseg: this module is no command; run python -m jaxseg train")

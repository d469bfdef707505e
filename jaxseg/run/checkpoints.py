"""Checkpoints of a run, kept by Orbax: saved in the background, each either whole or not there.

The newest few are kept, and the best by one validation score. A step's directory appears only when all of it is
written, so a run that is killed while it saves has lost that save alone.
"""

import contextlib
import json
import pathlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from jaxseg.parallel.mesh import from_all_processes
from jaxseg.parallel.processes import is_main_process, main_process_first
from jaxseg.run.state import TrainState


def open_checkpoints(workdir: pathlib.Path, keep: int, best_metric: str) -> ocp.CheckpointManager:
    """The checkpoints of a workdir; close them when done, which waits for the last save.

    Args:
      workdir: the run's folder; ``checkpoints`` is made in it.
      keep: how many of the newest to keep.
      best_metric: the score whose best checkpoint is kept besides.

    Raises:
      ValueError: there are checkpoints, but none can be read.
    """
    directory = (workdir / "checkpoints").absolute()
    with main_process_first():
        _set_aside_damaged_metadata(directory)

    def score(scores):
        return scores[best_metric]

    newest = checkpoint_managers.LatestN(keep)
    best = checkpoint_managers.BestN(get_metric_fn=score, n=1, keep_checkpoints_without_metrics=False)
    options = ocp.CheckpointManagerOptions(
        preservation_policy=checkpoint_managers.AnyPreservationPolicy([newest, best]),
        best_fn=score,  # without it Orbax does not write the scores down
        cleanup_tmp_directories=True,
    )
    return ocp.CheckpointManager(directory, options=options)


def save(manager: ocp.CheckpointManager, state: TrainState, scores: Mapping[str, float] | None) -> None:
    """Starts to save a state under its step number; a step that is already saved is left as it is.

    Args:
      manager: of ``open_checkpoints``.
      state: what to save.
      scores: the validation scores at this step, if there are any, ``best_metric`` among them.

    Raises:
      OSError: this save, or the one before, went wrong, as on a full disk.
    """
    step = int(state.step)
    with _writing():
        manager.check_for_errors()
        if step not in manager.all_steps():
            manager.save(step, args=ocp.args.StandardSave(state), metrics=scores)


def finish(manager: ocp.CheckpointManager) -> None:
    """Waits until the last save is on the disk.

    Raises:
      OSError: it went wrong.
    """
    with _writing():
        manager.wait_until_finished()
        manager.check_for_errors()


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whichever layer below it comes from
        raise OSError(
            f"a checkpoint could not be written ({_first_line(error)}): the older ones are good; once there is room "
            "the same command goes on from the newest"
        ) from error


def restore(manager: ocp.CheckpointManager, abstract_state: TrainState, step: int) -> TrainState:
    """The state saved at a step, laid out over devices as ``abstract_state`` says, whatever it was saved from."""
    directory = manager.directory / str(step) / "default"
    # Not the manager's own, at whose end all processes meet: one that cannot read its part would meet the others where
    # they do not expect it.
    return ocp.StandardCheckpointHandler().restore(directory, args=ocp.args.StandardRestore(abstract_state))


def restore_newest(manager: ocp.CheckpointManager, abstract_state: TrainState) -> TrainState | None:
    """The newest state that all processes can read, or None where none was ever saved.

    Newer checkpoints that cannot be read are named on stderr and moved to ``checkpoints_unreadable`` beside the others.

    Raises:
      ValueError: there are checkpoints, but none can be read.
    """
    broken = {}
    for step in sorted(manager.all_steps(), reverse=True):
        state, complaint = None, ""
        try:
            state = restore(manager, abstract_state, step)
        except Exception as error:  # a damaged file can fail in any of the layers below
            complaint = _first_line(error)
        # Each process reads its own part, which may be whole where that of another is not.
        complaints = list(filter(None, from_all_processes(complaint.encode())))
        if complaints:
            broken[step] = complaints[0].decode()
            continue
        if broken:
            with main_process_first():
                _set_aside(pathlib.Path(manager.directory), broken)
            manager.reload()
        return state
    if broken:
        raise _all_unreadable(manager.directory, broken)
    return None


def saved_steps(workdir: pathlib.Path) -> list[int]:
    """The steps that a workdir has checkpoints of, whole or not; opens and changes nothing."""
    return sorted(int(path.name) for path in (workdir / "checkpoints").glob("*") if path.name.isdigit())


def read_newest(workdir: pathlib.Path) -> dict[str, Any]:
    """The newest state of another run: the fields of its ``TrainState``, numpy arrays on the host.

    Raises:
      ValueError: there is none, or it cannot be read.
    """
    steps = saved_steps(workdir)
    if not steps:
        raise ValueError(f"{workdir} has no checkpoint yet: train it first")
    directory = (workdir / "checkpoints" / str(steps[-1]) / "default").absolute()
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            # What is asked for as numpy arrays comes without the devices that it was saved from.
            found = checkpointer.metadata(directory).item_metadata.tree
            template = jax.tree.map(lambda leaf: np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape), found)
            return checkpointer.restore(directory, template)
    except Exception as error:  # a damaged file can fail in any of the layers below
        raise ValueError(f"{directory} cannot be read ({_first_line(error)}); it may be damaged") from error


def newest_step(manager: ocp.CheckpointManager) -> int | None:
    """The newest step that is saved whole, or None; waits for a save that is under way."""
    manager.wait_until_finished()
    return max(manager.all_steps(), default=None)


def best_step(manager: ocp.CheckpointManager, best_metric: str) -> int | None:
    """The step with the best validation score, or None where no kept checkpoint has one."""
    scores = {step: manager.metrics(step) for step in manager.all_steps()}
    scored = {step: values[best_metric] for step, values in scores.items() if values}
    return max(scored, key=scored.get) if scored else None


def _set_aside_damaged_metadata(directory: pathlib.Path) -> None:
    """Moves checkpoints away whose descriptions are damaged, since Orbax could not even list the others beside them."""
    steps = [path for path in directory.glob("*") if path.name.isdigit()]
    broken = {}
    for path in steps:
        try:
            for description in (path / "_CHECKPOINT_METADATA", *path.glob("metrics/metrics")):
                json.loads(description.read_text())
        except (OSError, ValueError) as error:
            broken[int(path.name)] = _first_line(error)
    if broken and len(broken) == len(steps):
        raise _all_unreadable(directory, broken)
    _set_aside(directory, broken)


def _set_aside(directory: pathlib.Path, broken: Mapping[int, str]) -> None:
    for step, complaint in broken.items() if is_main_process() else ():
        print(f"jaxseg: checkpoint {step} cannot be read ({complaint}); using an older one", file=sys.stderr)
        aside = directory.with_name("checkpoints_unreadable")
        aside.mkdir(exist_ok=True)
        (directory / str(step)).rename(aside / f"{step}_{len(list(aside.iterdir()))}")


def _all_unreadable(directory: Any, broken: Mapping[int, str]) -> ValueError:
    reasons = "; ".join(f"step {step}: {complaint}" for step, complaint in broken.items())
    return ValueError(
        f"no checkpoint in {directory} can be read ({reasons}): they are damaged, or of another model or optimizer; "
        "choose another --workdir to start anew"
    )


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0][:200]

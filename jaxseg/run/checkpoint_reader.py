"""Reads checkpoints of a workdir without changing it, also while a training writes there.

Each step has a folder ``checkpoints/STEP``. On a disk, it appears under this name only when all of it is written. In a
bucket, where nothing can be renamed at once, it is whole when it has the file ``COMMITTED``.
"""

import json
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxseg.parallel.mesh import from_all_processes
from jaxseg.parallel.processes import is_main_process
from jaxseg.run.s3 import teach_orbax_s3
from jaxseg.run.state import TrainState
from jaxseg.storage import absolute, is_bucket

FOLDER = "checkpoints"
COMMITTED = "commit_success.txt"  # Orbax writes it last into a step's folder in a bucket
MISMATCH = "tree structures do not match"  # what Orbax says of a state with other parts
SCORES = "scores.json"  # the validation scores of a step, in its folder


def saved_steps(workdir: pathlib.Path) -> list[int]:
    """Returns the steps that a workdir has checkpoints of, in order."""
    folders = [path for path in (workdir / FOLDER).glob("*") if path.name.isdigit()]
    if is_bucket(workdir):
        folders = [path for path in folders if (path / COMMITTED).exists()]
    return sorted(int(path.name) for path in folders)


def read_scores(workdir: pathlib.Path, step: int) -> dict[str, Any] | None:
    """Returns the validation scores of a checkpoint, or None if it was not evaluated."""
    folder = workdir / FOLDER / str(step)
    for path in (folder / SCORES, folder / "metrics" / "metrics"):  # the second is of runs before scores.json
        try:
            return json.loads(path.read_text())
        except (OSError, ValueError):  # not there, being removed, or damaged: as good as not evaluated
            continue
    return None


def best_step(scores: Mapping[int, Mapping[str, Any] | None], best_metric: str | None) -> int | None:
    """Returns the step with the highest value of a score, the earliest of equal ones, or None.

    Args:
      scores: the scores per step.
      best_metric: the score to compare; None or "" chooses no step. Steps without a finite value are passed over.
    """
    values = {step: (of_step or {}).get(best_metric) for step, of_step in sorted(scores.items())}
    finite = {step: value for step, value in values.items() if value is not None and np.isfinite(value)}
    return max(finite, key=finite.get) if finite else None


def restore(workdir: pathlib.Path, abstract_state: TrainState, step: int) -> TrainState:
    """Returns the state of a step, divided over devices as ``abstract_state`` says, however it was saved."""
    teach_orbax_s3(workdir)
    directory = absolute(workdir / FOLDER / str(step) / "default")
    # The restore of Orbax's manager ends in a barrier. A process that cannot read its part would never reach it.
    return ocp.StandardCheckpointHandler().restore(directory, args=ocp.args.StandardRestore(abstract_state))


def try_restore(workdir: pathlib.Path, abstract_state: TrainState, step: int) -> tuple[TrainState | None, str]:
    """Restores a step in all processes together.

    Returns:
      The state and ""; or None and what went wrong in the first process that could not read its part.
    """
    state, complaint = None, ""
    try:
        state = restore(workdir, abstract_state, step)
    except Exception as error:  # a damaged file fails in any of the layers below
        complaint = first_line(error)
    complaints = [each.decode() for each in from_all_processes(complaint.encode()) if each]
    return (None, complaints[0]) if complaints else (state, "")


def load_checkpoint(
    workdir: pathlib.Path, abstract_state: TrainState, which: str, best_metric: str | None
) -> TrainState:
    """Restores the state that a user names.

    Args:
      workdir: the folder of the run.
      abstract_state: the shapes and shardings of the state.
      which: "latest", "best" or a step number.
      best_metric: the score that "best" compares.

    Raises:
      ValueError: there is no such checkpoint, or it cannot be read.
    """
    if which == "latest":
        return newest_readable(workdir, lambda step: try_restore(workdir, abstract_state, step))
    steps = _agreed_steps(workdir)
    step = which
    if which == "best":
        step = best_step({step: read_scores(workdir, step) for step in steps}, best_metric)
        step = json.loads(from_all_processes(json.dumps(step).encode())[0])
    if str(step) not in map(str, steps):
        reason = f"no kept step has a value of train.best_metric ({best_metric!r})" if which == "best" else "not kept"
        raise ValueError(
            f"--checkpoint is {which!r} ({reason}); expected 'latest', 'best' or one of the steps {steps} of {workdir}"
        )
    state, complaint = try_restore(workdir, abstract_state, int(step))
    if state is None:
        raise ValueError(
            f"checkpoint {step} of {workdir} cannot be read ({complaint}). Choose one of the others: {steps}."
        )
    return state


def newest_readable(workdir: pathlib.Path, read: Callable[[int], tuple[Any, str]]) -> Any:
    """Reads the newest checkpoint that can be read; a training may replace checkpoints meanwhile.

    Args:
      workdir: the folder of the run.
      read: ``step -> (content, "")``, or ``(None, complaint)`` if the step cannot be read.

    Raises:
      ValueError: there is no checkpoint, or none can be read.
    """
    broken: dict[int, str] = {}
    while steps := [step for step in _agreed_steps(workdir) if step not in broken]:
        content, complaint = read(steps[-1])
        if not complaint:
            return content
        broken[steps[-1]] = complaint
        if steps[-1] in _agreed_steps(workdir) and is_main_process():  # not merely replaced by a newer one
            print(f"jaxseg: checkpoint {steps[-1]} cannot be read ({complaint}); using an older one", file=sys.stderr)
    if broken:
        raise all_unreadable(workdir, broken)
    raise ValueError(f"{workdir} has no checkpoint yet. Train it first.")


def read_newest(workdir: pathlib.Path) -> dict[str, Any]:
    """Returns the newest state of another run: the fields of its ``TrainState``, as numpy arrays.

    Raises:
      ValueError: there is none, or none can be read.
    """
    teach_orbax_s3(workdir)

    def read(step: int) -> tuple[dict[str, Any] | None, str]:
        """Returns the checkpoint of a step, or None and why it cannot be read."""
        directory = absolute(workdir / FOLDER / str(step) / "default")
        try:
            with ocp.StandardCheckpointer() as checkpointer:
                # Arrays that are asked for as numpy arrays come without the devices that they were saved from.
                found = checkpointer.metadata(directory).item_metadata.tree
                template = jax.tree.map(lambda leaf: np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape), found)
                return checkpointer.restore(directory, template), ""
        except Exception as error:  # a damaged file fails in any of the layers below
            return None, first_line(error)

    return newest_readable(workdir, read)


def all_unreadable(workdir: pathlib.Path, broken: Mapping[int, str]) -> ValueError:
    """Returns the error for a run without a readable checkpoint."""
    if all(MISMATCH in complaint for complaint in broken.values()):
        return ValueError(
            f"the checkpoints in {workdir / FOLDER} are of another optimizer or model. Set the fields of optimizer, "
            f"such as name and ema, as in {workdir / 'config.json'}, or choose another --workdir to start again."
        )
    reasons = "; ".join(f"step {step}: {complaint}" for step, complaint in broken.items())
    return ValueError(
        f"no checkpoint in {workdir / FOLDER} can be read ({reasons}): they are damaged, or of another model or "
        "optimizer. Choose another --workdir to start again."
    )


def first_line(error: Exception) -> str:
    """Returns the type of an error and the first line of its message."""
    return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0][:200]


def _agreed_steps(workdir: pathlib.Path) -> list[int]:
    """Returns the steps that process 0 finds, in all processes."""
    return json.loads(from_all_processes(json.dumps(saved_steps(workdir)).encode())[0])

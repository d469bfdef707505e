"""Writes the checkpoints of a training, with Orbax: in the background. A checkpoint is complete, or it does not exist.

The newest few are kept, and the best by one validation score. A state is saved before it is evaluated, so that an
evaluation that fails loses nothing. Its scores follow in ``checkpoints/STEP/scores.json``.
Only the training that holds the lock of a workdir opens its checkpoints here; see ``checkpoint_reader`` for others.
"""

import contextlib
import errno
import json
import logging
import math
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from jaxseg.parallel.processes import is_main_process, main_process_first
from jaxseg.run import checkpoint_reader as reader
from jaxseg.run.s3 import teach_orbax_s3
from jaxseg.run.state import TrainState
from jaxseg.storage import absolute, move_folder, write_text


class Checkpoints:
    """The checkpoints of a training.

    Use it in a ``with`` statement: leaving it waits for the last save, and raises OSError if that failed.

    Args:
      workdir: the folder of the run; ``checkpoints`` is made in it.
      keep: how many of the newest to keep.
      best_metric: the score by which one more is kept; None keeps the newest only.
      check_lock: called before a save; raises ValueError if another process has taken the workdir over.

    Raises:
      ValueError: there are checkpoints, but none can be read.
    """

    def __init__(
        self, workdir: pathlib.Path, keep: int, best_metric: str | None, check_lock: Callable[[], None] | None = None
    ):
        teach_orbax_s3(workdir)
        logging.getLogger("asyncio").addFilter(_is_not_about_a_lost_error)
        self.workdir = workdir
        self.best_metric = best_metric
        self._check_lock = check_lock
        directory = absolute(workdir / reader.FOLDER)
        with main_process_first():
            _set_aside_damaged_metadata(workdir)
        # All processes hold the same scores, so that they agree on what to remove.
        self.scores = {step: reader.read_scores(workdir, step) for step in reader.saved_steps(workdir)}
        newest = checkpoint_managers.LatestN(keep)
        options = ocp.CheckpointManagerOptions(
            preservation_policy=checkpoint_managers.AnyPreservationPolicy([newest, _Best(self)]),
            cleanup_tmp_directories=True,
        )
        self._manager = ocp.CheckpointManager(directory, options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            with self._writing():
                self._manager.close()
        else:  # the first error names the cause; the last save often fails for the same reason
            with contextlib.suppress(Exception):
                self._manager.close()

    def steps(self) -> list[int]:
        """Returns the steps that are saved or being saved, in order."""
        return sorted(self._manager.all_steps())

    def save(self, state: TrainState) -> None:
        """Starts to save a state under its step number; a step that is saved already stays as it is.

        Raises:
          OSError: this save, or the one before, failed, for example on a full disk.
        """
        step = int(state.step)
        if self._check_lock is not None:
            self._check_lock()
        with self._writing():
            self._manager.check_for_errors()
            if step not in self._manager.all_steps():
                self._manager.save(step, args=ocp.args.StandardSave(state))

    def add_scores(self, step: int, scores: Mapping[str, Any]) -> None:
        """Writes the validation scores of a saved step next to its arrays.

        Raises:
          OSError: they, or the step, cannot be written.
        """
        self.finish()
        numbers = {name: value for name, value in scores.items() if isinstance(value, float) and math.isfinite(value)}
        self.scores[step] = numbers
        if is_main_process():
            path = self.workdir / reader.FOLDER / str(step) / reader.SCORES
            with self._writing():
                write_text(path, json.dumps(numbers) + "\n")

    def finish(self) -> None:
        """Waits until the last save is on the disk.

        Raises:
          OSError: it failed.
        """
        with self._writing():
            self._manager.wait_until_finished()
            self._manager.check_for_errors()

    def newest(self) -> int | None:
        """Returns the newest step that is saved whole, or None; waits for a save in progress."""
        self._manager.wait_until_finished()
        return max(self._manager.all_steps(), default=None)

    def best(self) -> int | None:
        """Returns the kept step with the best validation score, or None."""
        kept = self._manager.all_steps()
        return reader.best_step({step: self.scores.get(step) for step in kept}, self.best_metric)

    def restore(self, abstract_state: TrainState, step: int | None) -> TrainState | None:
        """Restores a step; None restores the newest one that can be read, and 0 restores nothing.

        Raises:
          ValueError: the step, or every step, cannot be read.
        """
        if step is None:
            return self.restore_newest(abstract_state)
        if step == 0:
            return None
        state, complaint = reader.try_restore(self.workdir, abstract_state, step)
        if complaint:
            raise reader.all_unreadable(self.workdir, {step: complaint})
        return state

    def restore_newest(self, abstract_state: TrainState) -> TrainState | None:
        """Restores the newest state that all processes can read; None if none was ever saved.

        Newer checkpoints that cannot be read are named on stderr and moved to ``checkpoints_unreadable``.

        Raises:
          ValueError: there are checkpoints, but none can be read.
        """
        broken = {}
        for step in reversed(self.steps()):
            state, complaint = reader.try_restore(self.workdir, abstract_state, step)
            if complaint:
                broken[step] = complaint
                continue
            if broken:
                with main_process_first():
                    _set_aside(self.workdir, broken)
                self._manager.reload()
            return state
        if broken:
            raise reader.all_unreadable(self.workdir, broken)
        return None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whichever layer below it comes from
            full = "No space left" in str(error) or getattr(error, "errno", None) == errno.ENOSPC
            why = "No space left on device" if full else reader.first_line(error)
            remedy = f"Make room in {self.workdir}" if full else "Remove the cause"
            raise OSError(
                f"a checkpoint could not be written ({why}); checkpoints from before are good. "
                f"{remedy}, and run the same command again to resume."
            ) from error


def _is_not_about_a_lost_error(record: logging.LogRecord) -> bool:
    """Leaves out errors of single arrays: Orbax raises the first one, and asyncio prints all others at the end."""
    return "exception was never retrieved" not in record.getMessage()


class _Best:
    """Orbax's preservation policy for the step with the best validation score."""

    def __init__(self, checkpoints: Checkpoints):
        self._checkpoints = checkpoints

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        del context
        scores = {one.step: self._checkpoints.scores.get(one.step) for one in checkpoints}
        best = reader.best_step(scores, self._checkpoints.best_metric)
        return [one.step == best for one in checkpoints]


def _set_aside_damaged_metadata(workdir: pathlib.Path) -> None:
    """Moves checkpoints with damaged descriptions away; Orbax could not even list the others with them there."""
    steps, broken = reader.saved_steps(workdir), {}
    for step in steps:
        folder = workdir / reader.FOLDER / str(step)
        try:
            for description in (folder / "_CHECKPOINT_METADATA", *folder.glob("metrics/metrics")):
                json.loads(description.read_text())
        except (OSError, ValueError) as error:
            broken[step] = reader.first_line(error)
    if broken and len(broken) == len(steps):
        raise reader.all_unreadable(workdir, broken)
    _set_aside(workdir, broken)


def _set_aside(workdir: pathlib.Path, broken: Mapping[int, str]) -> None:
    for step, complaint in broken.items() if is_main_process() else ():
        print(f"jaxseg: checkpoint {step} cannot be read ({complaint}); using an older one", file=sys.stderr)
        aside = workdir / "checkpoints_unreadable"
        move_folder(workdir / reader.FOLDER / str(step), aside / f"{step}_{len(list(aside.glob('*')))}")

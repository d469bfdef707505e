"""What a run reports: metrics.jsonl, the console and trackers."""

import contextlib
import json
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxseg.reporting.console import Console
from jaxseg.reporting.trackers import RunInfo, open_trackers
from jaxseg.storage import write_text
from jaxseg.storage.lines import open_lines

GOODPUT = "goodput"  # the "split" of the line that says where the time of a session went
TIMES = ("data_wait",)  # numbers of other lines that depend on the machine


def read_lines(path: pathlib.Path) -> list[dict]:
    """Returns the lines of a metrics.jsonl.

    A last line that was cut short when the process was killed is left out. A file that does not exist has no lines.
    """
    lines = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


def computed_lines(path: pathlib.Path) -> list[dict]:
    """Returns the lines of a metrics.jsonl without times, so that equal runs have equal lines."""
    return [
        {name: value for name, value in line.items() if name not in TIMES}
        for line in read_lines(path)
        if line["split"] != GOODPUT
    ]


def rewind(path: pathlib.Path, step: int) -> list[dict]:
    """Removes the lines after a step from a metrics.jsonl, so that no step is in it twice; returns the others."""
    lines = [line for line in read_lines(path) if line["step"] <= step]
    if path.exists():
        write_text(path, "".join(json.dumps(line) + "\n" for line in lines))
    return lines


class Report:
    """The report of one run, which a resumed run continues. Only the report of the main process writes.

    metrics.jsonl holds what the run computed, so equal runs write equal lines, except for ``TIMES`` and the line
    ``GOODPUT``. The console and the trackers show the speed.
    """

    def __init__(
        self,
        workdir: pathlib.Path,
        start_step: int,
        total_steps: int,
        batch_size: int,
        speaks: bool,
        console: str = "auto",
        trackers: Sequence[str] = ("tensorboard",),
        config: Mapping[str, Any] | None = None,
        shares: Callable[[], Mapping[str, float]] | None = None,
    ):
        """Opens the report.

        Args:
          workdir: the folder of the run.
          start_step: the step from which the run starts or resumes; later lines are removed.
          total_steps: the length of the run.
          batch_size: images per step, for the speed.
          speaks: whether this process reports; the others stay silent.
          console: what is printed, see ``console.MODES``.
          trackers: names of trackers, see ``trackers.TRACKERS``.
          config: fields of the config with dotted names, for the trackers.
          shares: returns the share of each activity in the time of this session; None writes no such line.
        """
        self._speaks = speaks
        self._batch_size = batch_size
        self._steps = start_step, total_steps
        self._step, self._shares = start_step, shares
        self._clock = (start_step, time.perf_counter())
        self._timed = (0, 0.0)  # number of steps, and the seconds that they took
        self._estimated = False
        self._console = Console(console if speaks else "quiet", start_step, total_steps)
        if speaks:
            path = workdir / "metrics.jsonl"
            earlier = rewind(path, start_step)
            self._written = {(line["step"], line["split"]) for line in earlier}
            self._last = {line["split"]: line for line in earlier if line["split"] != "train"}
            self._lines = open_lines(path)
            self._tracker = open_trackers(trackers, RunInfo(workdir, start_step, config or {}))

    def __enter__(self) -> "Report":
        return self

    def __exit__(self, *_: Any) -> None:
        self._console.close()
        if self._speaks:
            with contextlib.suppress(OSError):  # a full disk is reported by what the run itself writes
                self._write_goodput()
            self._lines.close()
            self._tracker.close()

    @property
    def images_per_second(self) -> float | None:
        """Returns the speed of training without the first step; None if it was not measured."""
        steps, seconds = self._timed
        return steps * self._batch_size / seconds if seconds else None

    def say(self, message: str) -> None:
        """Prints a line on the console."""
        self._console.say(message)

    def train(self, step: int, logs: Mapping[str, float]) -> None:
        """Reports the logs of one training step."""
        if not self._speaks:
            return
        self._write({"step": step, "split": "train", **logs})
        self._step = step
        if step == self._steps[0] + 1:  # the first step includes compilation
            self.restart_clock(step)
        since, then = self._clock
        now = time.perf_counter()
        numbers = {f"train/{name}": value for name, value in logs.items()}
        speed = None
        if now - then > 1:
            speed = (step - since) * self._batch_size / (now - then)
            self._timed = (self._timed[0] + step - since, self._timed[1] + now - then)
            self._clock = (step, now)
            numbers["speed/images_per_second"] = speed
        self._console.show_progress(step, logs["loss"], speed or self.images_per_second)
        self._estimate(step)
        self._tracker.write_scalars(step, numbers)

    def scores(self, step: int, split: str, scores: Mapping[str, Any], class_names: tuple[str, ...]) -> None:
        """Reports the scores of an evaluation. A line that the run has written before is not written again."""
        if not self._speaks:
            return
        if (step, split) not in self._written:
            self._write({"step": step, "split": split, **scores})
        numbers = {f"{split}/{name}": value for name, value in scores.items() if isinstance(value, float)}
        self._tracker.write_scalars(step, numbers)
        before = self._last.get(split)
        self._console.show_scores(
            step, split, scores, before if before and before["step"] < step else None, class_names
        )
        self._last[split] = {"step": step, "split": split, **scores}

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """Gives a picture, uint8 ``[h, w, 3]``, to the trackers."""
        if self._speaks:
            self._tracker.write_image(step, name, image)

    def costs(self, compiling: float, memory: str, time: str) -> None:
        """Says how fast the run was since it was last started, its memory and where its time went."""
        speed = self.images_per_second
        words = f"{speed:.1f} images/s" if speed else "no speed measured"
        self.say(f"training: {words} (without the first step); compiling: {compiling:.0f} s; peak: {memory}")
        self.say(f"time: {time}")

    def flush(self) -> None:
        """Returns when all lines are written, so that no checkpoint is newer than the lines of its steps.

        Raises:
          OSError: they cannot be written.
        """
        if self._speaks:
            self._lines.flush()

    def restart_clock(self, step: int) -> None:
        """Leaves the time since the last step, such as that of an evaluation, out of the speed."""
        self._clock = (step, time.perf_counter())

    def _estimate(self, step: int) -> None:
        """Says once, after some seconds, how long the run will take."""
        steps, seconds = self._timed
        if seconds >= 3 and not self._estimated:
            self._estimated = True
            self._console.show_remaining((self._steps[1] - step) * seconds / steps)

    def _write_goodput(self) -> None:
        """Writes where the time went, if this session took steps."""
        if self._shares is not None and self._step > self._steps[0]:
            shares = {name: round(share, 6) for name, share in self._shares().items()}
            self._write({"step": self._step, "split": GOODPUT, **shares})

    def _write(self, line: dict) -> None:
        self._lines.write(json.dumps(line))

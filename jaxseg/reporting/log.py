"""What a run tells of itself: a progress bar, metrics.jsonl and TensorBoard."""

import json
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import tqdm
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog


def read_lines(path: pathlib.Path) -> list[dict]:
    """The lines of a metrics.jsonl; a last line that a kill cut short is left out, and no file has no lines."""
    lines = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


def rewind(path: pathlib.Path, step: int) -> list[dict]:
    """Takes the lines after a step out of a metrics.jsonl, so that no step stands twice; returns those that stay."""
    lines = [line for line in read_lines(path) if line["step"] <= step]
    if path.exists():
        shorter = path.with_suffix(".tmp")
        shorter.write_text("".join(json.dumps(line) + "\n" for line in lines))
        shorter.replace(path)
    return lines


class Report:
    """The report of one run, which goes on where the run does. Every process may hold one; the first one's speaks.

    metrics.jsonl holds what the run computed and nothing of the machine, so that equal runs write equal files; speed is
    shown by the progress bar and in TensorBoard.
    """

    def __init__(self, workdir: pathlib.Path, start_step: int, total_steps: int, batch_size: int, speaks: bool):
        """Opens the report.

        Args:
          workdir: the run's folder.
          start_step: the step from which the run goes on; later lines are removed.
          total_steps: the length of the run.
          batch_size: images a step, for the speed.
          speaks: whether this process reports; the others stay silent.
        """
        self._speaks = speaks
        self._batch_size = batch_size
        self._clock = (start_step, time.perf_counter())
        self._timed = (0, 0.0)  # steps, and the seconds that they took
        self._bar = tqdm.tqdm(
            total=total_steps,
            initial=start_step,
            disable=not speaks,
            unit="step",
            dynamic_ncols=True,
            mininterval=0.5 if sys.stderr.isatty() else 30.0,  # a log file should not fill with bars
        )
        if speaks:
            path = workdir / "metrics.jsonl"
            self._written = {(line["step"], line["split"]) for line in rewind(path, start_step)}
            self._lines = path.open("a")
            (workdir / "tensorboard").mkdir(exist_ok=True)
            # Not the SummaryWriter, whose thread dies of a full disk, and whose queue then blocks for ever.
            self._board = EventsWriter(str(workdir / "tensorboard" / "events"))
            self._board.write_event(Event(step=start_step + 1, session_log=SessionLog(status=SessionLog.START)))

    def __enter__(self) -> "Report":
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.close()
        if self._speaks:
            self._lines.close()
            self._board.close()

    def say(self, message: str) -> None:
        """A line on the console, above the progress bar."""
        if self._speaks:
            self._bar.write(message)

    def train(self, step: int, logs: Mapping[str, float]) -> None:
        """The logs of one training step."""
        if not self._speaks:
            return
        self._write({"step": step, "split": "train", **logs})
        if self._bar.n == self._bar.initial:  # the first step, which compiled
            self.restart_clock(step)
        self._bar.update(step - self._bar.n)
        since, then = self._clock
        now = time.perf_counter()
        if now - then > 1:
            speed = (step - since) * self._batch_size / (now - then)
            self._timed = (self._timed[0] + step - since, self._timed[1] + now - then)
            self._clock = (step, now)
            self._bar.set_postfix_str(f"loss {logs['loss']:.4f}, {speed:.1f} images/s", refresh=False)
            self._show(step, summary.scalar("speed/images_per_second", speed))
            self._board.flush()
        for name, value in logs.items():
            self._show(step, summary.scalar(f"train/{name}", value))

    def scores(self, step: int, split: str, scores: Mapping[str, Any], class_names: tuple[str, ...]) -> None:
        """The scores of an evaluation; a line that the run has written before is not written again."""
        if not self._speaks:
            return
        if (step, split) not in self._written:
            self._write({"step": step, "split": split, **scores})
        numbers = {name: value for name, value in scores.items() if isinstance(value, float)}
        for name, value in numbers.items():
            self._show(step, summary.scalar(f"{split}/{name}", value))
        self.say(f"step {step}, {split}: " + ", ".join(f"{name} {value:.4f}" for name, value in numbers.items()))
        for name, values in scores.items():
            if isinstance(values, list):
                each = zip(class_names, values, strict=True)
                self.say(f"  {name}: " + ", ".join(f"{one} {value:.4f}" for one, value in each if value is not None))

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """A picture, uint8 ``[h, w, 3]``, for TensorBoard."""
        if self._speaks:
            self._show(step, summary.image(name, image, dataformats="HWC"))

    def costs(self, compiling: float, memory: str) -> None:
        """What the run cost since it was last begun: how fast it was, how long it compiled, what memory it needed."""
        steps, seconds = self._timed
        speed = f"{steps * self._batch_size / seconds:.1f} images/s" if seconds else "no speed measured"
        self.say(f"training: {speed} (without the first step); compiling: {compiling:.0f} s; peak: {memory}")

    def restart_clock(self, step: int) -> None:
        """Leaves what was done since the last step, such as an evaluation, out of the speed."""
        self._clock = (step, time.perf_counter())

    def _show(self, step: int, content: summary.Summary) -> None:
        self._board.write_event(Event(wall_time=time.time(), step=step, summary=content))

    def _write(self, line: dict) -> None:
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()

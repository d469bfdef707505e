"""What a run prints: one progress bar on a terminal, a line every few seconds elsewhere, nothing, or JSON lines."""

import json
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import tqdm

from jaxseg.data.class_shares import count_classes
from jaxseg.data.report import describe_split, to_json, write_data_json
from jaxseg.types import Source

MODES = ("auto", "bar", "lines", "quiet", "json")
SECONDS = 5.0  # between two lines of progress
MOST_CLASSES = 12  # of more classes, the table shows only the lowest and the highest
EXTREMES = 3


class Console:
    """The console of one run.

    Args:
      mode: "bar" is a progress bar; "lines" prints a line every few seconds; "quiet" prints nothing; "json" prints
        one JSON object per event on standard output. "auto" is "bar" on a terminal and "lines" elsewhere.
      start_step: the step from which the run starts.
      total_steps: the last step of the run.
    """

    def __init__(self, mode: str, start_step: int, total_steps: int):
        if mode not in MODES:
            raise ValueError(f"console is {mode!r}; expected one of {', '.join(MODES)}")
        self.mode = ("bar" if sys.stderr.isatty() else "lines") if mode == "auto" else mode
        self._start, self._total = start_step, total_steps
        self._step = start_step
        self._printed = time.monotonic()
        self._bar = tqdm.tqdm(
            total=total_steps,
            initial=start_step,
            disable=self.mode != "bar",
            unit="step",
            dynamic_ncols=True,
            mininterval=0.5,
        )

    def close(self) -> None:
        """Ends the progress bar."""
        self._bar.close()

    def say(self, message: str) -> None:
        """Prints a message, above the progress bar where there is one."""
        if self.mode == "json":
            self._print_json("message", text=message)
        elif self.mode == "bar":
            self._bar.write(message)
        elif self.mode == "lines":
            _print(message, sys.stdout)

    def show_progress(self, step: int, loss: float, images_per_second: float | None) -> None:
        """Shows that a step is done.

        Args:
          step: its number.
          loss: its loss.
          images_per_second: the speed since it was last measured; None where it is not known yet.
        """
        if self.mode == "bar":
            self._bar.update(step - self._bar.n)
            if images_per_second:
                self._bar.set_postfix_str(f"loss {loss:.4f}, {images_per_second:.1f} images/s", refresh=False)
            return
        self._step = step
        now = time.monotonic()
        if self.mode == "quiet" or (now - self._printed < SECONDS and step < self._total):
            return
        self._printed = now
        if self.mode == "json":
            self._print_json("progress", step=step, steps=self._total, loss=loss, images_per_second=images_per_second)
        else:
            speed = f", {images_per_second:.1f} images/s" if images_per_second else ""
            _print(f"step {step} of {self._total}, loss {loss:.4f}{speed}", sys.stderr)

    def show_remaining(self, seconds: float) -> None:
        """Says once how long the rest of the training will take, evaluations not included."""
        if self.mode == "json":
            self._print_json("estimate", remaining_seconds=round(seconds, 1))
        elif self.mode == "lines":
            self.say(f"about {duration(seconds)} to go, evaluations not included")

    def show_scores(
        self,
        step: int,
        split: str,
        scores: Mapping[str, Any],
        before: Mapping[str, Any] | None,
        class_names: Sequence[str],
    ) -> None:
        """Shows the scores of an evaluation as a small table with the change since the last one."""
        if self.mode == "json":
            self._print_json("scores", step=step, split=split, scores=dict(scores))
        elif self.mode != "quiet":
            self.say("\n".join([f"step {step}, {split}:", *score_table(scores, before, class_names)]))

    def _print_json(self, event: str, **content: Any) -> None:
        _print(json.dumps({"event": event, **content}), sys.stdout)


def announce(mode: str, message: str) -> None:
    """Prints a message before the run has a console, see ``Console`` for the modes."""
    if mode == "json":
        print(json.dumps({"event": "message", "text": message}), flush=True)
    elif mode != "quiet":
        print(message, flush=True)


def announce_data(folder: pathlib.Path, sources: Mapping[str, Source], mode: str, task: str = "semantic") -> None:
    """Prints what was found in the files of each split, and writes it to ``data.json``.

    Classes are counted in pixels for semantic models, and in objects for ``task`` "instances".
    """
    found = {kind: count_classes(source, task) for kind, source in sources.items()}
    write_data_json(folder, {kind: dict(to_json(one)) for kind, one in found.items()})
    for kind, one in found.items():
        for line in describe_split(kind, one):
            announce(mode, line)


def score_table(scores: Mapping[str, Any], before: Mapping[str, Any] | None, class_names: Sequence[str]) -> list[str]:
    """Returns the lines of a table: a row per score, with its change since the scores ``before``.

    Scores of boxes and of masks share a row. A score per class has a row per class; where there are many classes, only
    those with the lowest and the highest scores have one.
    """
    before = before or {}
    rows: dict[str, dict[str, str]] = {}
    columns: list[str] = []
    for name, value in scores.items():
        kind, short = _column_of(name)
        if isinstance(value, list):
            for row, number in _class_rows(value, class_names):
                old = before.get(name) or [None] * len(value)
                rows.setdefault(row, {})[kind] = _cell(value[number], old[number])
        else:
            rows.setdefault(short, {})[kind] = _cell(value, before.get(name))
        if kind not in columns:
            columns.append(kind)
    columns.sort(key=lambda kind: kind != "")
    width = max(map(len, rows), default=0)
    head = [f"  {'':{width}}  " + "  ".join(f"{kind:16}" for kind in columns)] if any(columns) else []
    lines = [
        f"  {row:{width}}  " + "  ".join(f"{cells.get(kind, ''):16}" for kind in columns) for row, cells in rows.items()
    ]
    return [line.rstrip() for line in head + lines]


def _column_of(name: str) -> tuple[str, str]:
    """Returns the column and the row of a score: "segm_AP50" is in column "segm", row "AP50"."""
    kind, _, rest = name.partition("_")
    return (kind, rest) if kind in ("bbox", "segm") and rest else ("", name)


def _class_rows(values: Sequence[float | None], class_names: Sequence[str]) -> list[tuple[str, int]]:
    """Returns the row and the number of the classes to show."""
    numbers = [number for number, value in enumerate(values) if value is not None]
    if len(numbers) > MOST_CLASSES:
        numbers.sort(key=lambda number: values[number])
        numbers = numbers[:EXTREMES] + numbers[-EXTREMES:]
    return [(f"- {class_names[number]}", number) for number in numbers]


def _cell(value: float | None, before: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" + (f" {value - before:+.4f}" if isinstance(before, float) else "")


def duration(seconds: float) -> str:
    """Returns a duration in words: "45 s", "12 min", "3 h 20 min".

    Example:
      >>> duration(12000)
      '3 h 20 min'
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _print(message: str, stream: TextIO) -> None:
    print(message, file=stream, flush=True)

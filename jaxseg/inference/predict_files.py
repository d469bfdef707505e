"""Files and folders of images into masks, overlays and one ``predictions.json``."""

import itertools
import json
import os
import pathlib
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from jaxseg.inference.files import printable
from jaxseg.inference.image_files import PREDICTIONS, list_images
from jaxseg.inference.images import to_image
from jaxseg.inference.pipeline import Outcome, run_pipeline
from jaxseg.inference.predictor import Predictor
from jaxseg.inference.results import Result

WRITING_SHARE = 0.1  # Of the time, at most this share is spent on writing predictions.json again.


class Job(NamedTuple):
    """One image of a run.

    Attributes:
      number: its ``image_id``, from 1.
      path: the file.
      name: the first part of the names of its outputs.
    """

    number: int
    path: pathlib.Path
    name: str


class Summary(NamedTuple):
    """What became of the images.

    Attributes:
      total: the number of images.
      done: how many have results.
      failed: a line per image that has none.
      interrupted: whether Ctrl-C ended the run early.
    """

    total: int
    done: int
    failed: list[str]
    interrupted: bool


class PredictionsFile:
    """``predictions.json`` while a run goes on: a valid file at any moment, also after ``kill -9``.

    The file is replaced as a whole. It is written again after each image, but at most a tenth of the time is spent on
    that, so that large folders do not slow down.
    """

    def __init__(self, path: pathlib.Path):
        self._path = path
        self._entries: list[str] = []
        self._wait_until = 0.0
        self.write()

    def add(self, entries: Iterable[dict[str, Any]]) -> None:
        """Adds the entries of an image."""
        self._entries += [json.dumps(entry, indent=2) for entry in entries]
        if time.monotonic() >= self._wait_until:
            self.write()

    def write(self) -> None:
        """Replaces the file by all entries so far."""
        start = time.monotonic()
        new = self._path.with_name(f".{self._path.name}.tmp")
        new.write_text("[\n" + ",\n".join(self._entries) + "\n]\n" if self._entries else "[]\n")
        os.replace(new, self._path)
        end = time.monotonic()
        self._wait_until = end + (end - start) / WRITING_SHARE


def predict_files(
    predictor: Callable[[], Predictor],
    inputs: Iterable[str | pathlib.Path],
    output: pathlib.Path,
    *,
    say: Callable[[Outcome], None] = lambda outcome: None,
    begin: Callable[[int, str], None] = lambda total, note: None,
    save: Callable[[Result, pathlib.Path, str], dict[str, pathlib.Path]] | None = None,
    **options: Any,
) -> Summary:
    """Predicts image files and writes the results of each as soon as they exist.

    Args:
      predictor: makes the predictor; it is called when the inputs are known to exist.
      inputs: images and folders of images.
      output: the folder to write to.
      say: is told the outcome of each image, in order; its item is a ``Job``.
      begin: is told the number of images and what was left out, before the first image.
      save: ``(result, folder, name) -> paths`` writes the files of a result; None is ``result.save``.
      **options: fields of ``Options``.

    Raises:
      ValueError: there is no such run, checkpoint or input, or an option is out of range.
      OSError: the output cannot be written, for example on a full disk.
    """
    listing = list_images(inputs)
    engine = predictor().engine(**options)
    output.mkdir(parents=True, exist_ok=True)
    predictions = PredictionsFile(output / PREDICTIONS)
    begin(len(listing.paths), listing.note)
    paths = listing.paths
    jobs = [Job(number, *pair) for number, pair in enumerate(zip(paths, output_names(paths), strict=True), start=1)]

    def handle(job: Job, result: Result) -> tuple[list[dict], str]:
        try:
            files = (save or type(result).save)(result, output, job.name)
        except OSError as error:
            raise WriteError(error) from error
        named = {f"{kind}_file": path.name for kind, path in files.items()}
        first = {"image_id": job.number, "file_name": str(job.path)}
        return [{**first, **entry, **named} for entry in result.entries()], result.summary

    failed: list[str] = []
    done = 0
    interrupted = False
    try:
        for outcome in run_pipeline(engine, jobs, lambda job: to_image(job.path), options.get("batch", 1), handle):
            if isinstance(outcome.error, WriteError):
                raise outcome.error.reason
            if outcome.error is not None:
                failed.append(describe_error(outcome.item.path, outcome.error))
                outcome = outcome._replace(value=failed[-1])
            else:
                entries, summary = outcome.value
                predictions.add(entries)
                done += 1
                outcome = outcome._replace(value=summary)
            say(outcome)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        predictions.write()
    return Summary(len(jobs), done, failed, interrupted)


class WriteError(Exception):
    """An output that could not be written, which ends the run, unlike an image that could not be read."""

    def __init__(self, reason: OSError):
        super().__init__(str(reason))
        self.reason = reason


def describe_error(path: pathlib.Path, error: Exception) -> str:
    """Returns what went wrong with a file in one line that names the file."""
    text = " ".join(str(error).split()) or type(error).__name__
    name = printable(path)
    if name in text:
        return text
    kind = "" if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: "
    return f"{name} cannot be segmented: {kind}{text}"


def output_names(paths: list[pathlib.Path]) -> list[str]:
    """Returns a name for the results of each file: its stem, with a number if two files share one.

    >>> output_names([pathlib.Path(name) for name in ("a/cat.jpg", "b/cat.png", "dog.png")])
    ['cat', 'cat_2', 'dog']
    """
    names: dict[str, None] = {}
    for path in paths:
        candidates = itertools.chain([path.stem], (f"{path.stem}_{number}" for number in itertools.count(2)))
        names[next(name for name in candidates if name not in names)] = None
    return list(names)

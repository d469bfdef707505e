"""Files and folders of images into masks, overlays and one ``predictions.json``."""

import itertools
import pathlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from jaxseg.inference.files import printable
from jaxseg.inference.image_files import PREDICTIONS, list_images
from jaxseg.inference.json_files import JsonList
from jaxseg.inference.pipeline import Outcome, run_pipeline
from jaxseg.inference.predictor import Predictor
from jaxseg.inference.result_writer import DEFAULT_OUTPUTS, Outputs, Writer, check_outputs
from jaxseg.inference.results import Result


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
    """The number of images with and without results.

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


def predict_files(
    predictor: Callable[[], Predictor],
    inputs: Iterable[str | pathlib.Path],
    output: pathlib.Path,
    *,
    outputs: Outputs = DEFAULT_OUTPUTS,
    say: Callable[[Outcome], None] = lambda outcome: None,
    begin: Callable[[int, str], None] = lambda total, note: None,
    stopped: Callable[[], bool] = lambda: False,
    **options: Any,
) -> Summary:
    """Predicts image files and writes the results of each as soon as they exist.

    Args:
      predictor: makes the predictor; called after the inputs were found.
      inputs: images and folders of images.
      output: the folder to write to.
      outputs: which files are written.
      say: called with the outcome of each image, in order; its item is a ``Job``.
      begin: called before the first image, with the number of images and what was left out.
      stopped: called before each image; once it returns True, no further image is read, and those that are being
        computed are finished.
      **options: fields of ``Options``.

    Raises:
      ValueError: there is no such run, checkpoint or input, or an option is out of range.
      OSError: the output cannot be written, for example on a full disk.
    """
    listing = list_images(inputs)
    check_outputs(outputs)
    model = predictor()
    wanted = {"confidence": outputs.confidence, "probabilities": bool(outputs.probabilities)}
    engine = model.engine(**options, **wanted)
    output.mkdir(parents=True, exist_ok=True)
    predictions = JsonList(output / PREDICTIONS)
    writer = Writer(output, outputs, model.class_names, model.trained.category_ids)
    begin(len(listing.paths), listing.note)
    names = output_names(listing.paths)
    jobs = [Job(number, *pair) for number, pair in enumerate(zip(listing.paths, names, strict=True), start=1)]

    read = partial(_read_unless_stopped, model, stopped)
    write = partial(_write_result, writer, output)
    failed: list[str] = []
    done = 0
    try:
        for outcome in run_pipeline(engine, jobs, read, options.get("batch", 1), write):
            if isinstance(outcome.error, Stopped):
                continue
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
    finally:
        predictions.write()
        writer.close()
    return Summary(len(jobs), done, failed, stopped())


def _read_unless_stopped(model: Predictor, stopped: Callable[[], bool], job: Job) -> tuple[Any, str | None]:
    """Reads the image of a job.

    Raises:
      Stopped: the run was asked to stop.
    """
    if stopped():
        raise Stopped
    return model.read(job.path)


def _write_result(writer: Writer, output: pathlib.Path, job: Job, result: Result) -> tuple[list[dict], str]:
    """Writes the files of a result; returns its entries in ``predictions.json`` and its summary.

    Raises:
      WriteError: a file cannot be written.
    """
    try:
        files = writer.write(result, job.name, job.number)
    except OSError as error:
        raise WriteError(error) from error
    named = {f"{kind}_file": str(path.relative_to(output)) for kind, path in files.items()}
    first = {"image_id": job.number, "file_name": str(job.path)}
    return [{**first, **entry, **named} for entry in result.entries()], result.summary


class Stopped(Exception):
    """The reason why an image is not read: the run was asked to stop."""


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

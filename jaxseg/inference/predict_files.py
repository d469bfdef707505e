"""Files and folders of images into masks, overlays and one ``predictions.json``."""

import contextlib
import itertools
import pathlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from jaxseg.inference.image_files import list_images
from jaxseg.inference.pipeline import Outcome, run_pipeline
from jaxseg.inference.predictor import Predictor
from jaxseg.inference.result_folder import Job, ResultFolder
from jaxseg.inference.result_writer import DEFAULT_OUTPUTS, Outputs, check_outputs


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
    jobs = make_jobs(listing.paths)
    results = ResultFolder(output, outputs, model)
    begin(len(jobs), listing.note)
    read = partial(_read_unless_stopped, model, stopped)
    with contextlib.closing(results):
        for outcome in run_pipeline(engine, jobs, read, options.get("batch", 1), results.write):
            if not isinstance(outcome.error, Stopped):
                say(results.record(outcome))
    return Summary(len(jobs), results.done, results.failed, stopped())


def _read_unless_stopped(model: Predictor, stopped: Callable[[], bool], job: Job) -> tuple[Any, str | None]:
    """Reads the image of a job.

    Raises:
      Stopped: the run was asked to stop.
    """
    if stopped():
        raise Stopped
    return model.read(job.path)


class Stopped(Exception):
    """The reason why an image is not read: the run was asked to stop."""


def make_jobs(paths: list[pathlib.Path]) -> list[Job]:
    """Returns a numbered job per image, with a name for its outputs.

    >>> [(job.number, job.name) for job in make_jobs([pathlib.Path("a/cat.jpg"), pathlib.Path("b/cat.jpg")])]
    [(1, 'cat'), (2, 'cat_2')]
    """
    return [Job(number, *pair) for number, pair in enumerate(zip(paths, output_names(paths), strict=True), start=1)]


def output_names(paths: list[pathlib.Path]) -> list[str]:
    """Returns a name for the results of each file: its stem, with a number if two files share one.

    >>> output_names([pathlib.Path(name) for name in ("a/cat.jpg", "b/cat.png", "dog.png")])
    ['cat', 'cat_2', 'dog']
    """
    return numbered([path.stem for path in paths])


def numbered(stems: Iterable[str]) -> list[str]:
    """Returns names that are all different: a stem that was there before gets a number.

    >>> numbered(["cat", "dog", "cat"])
    ['cat', 'dog', 'cat_2']
    """
    names: dict[str, None] = {}
    for stem in stems:
        candidates = itertools.chain([stem], (f"{stem}_{number}" for number in itertools.count(2)))
        names[next(name for name in candidates if name not in names)] = None
    return list(names)

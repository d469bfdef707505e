"""The folder that the results of many images are written to, with one ``predictions.json``."""

import pathlib
from typing import NamedTuple

from jaxseg.data.images import printable
from jaxseg.inference.image_files import PREDICTIONS
from jaxseg.inference.json_files import JsonList
from jaxseg.inference.pipeline import Outcome
from jaxseg.inference.predictor import Predictor
from jaxseg.inference.result_writer import Outputs, Writer
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


class ResultFolder:
    """The folder that results are written to, with the count of images that have one.

    Args:
      folder: it is made where it does not exist.
      outputs: which files are written.
      model: makes the results.

    Attributes:
      done: how many images have results.
      failed: a line per image that has none.

    Raises:
      OSError: the folder cannot be written.
    """

    def __init__(self, folder: pathlib.Path, outputs: Outputs, model: Predictor):
        folder.mkdir(parents=True, exist_ok=True)
        self.done = 0
        self.failed: list[str] = []
        self._folder = folder
        self._predictions = JsonList(folder / PREDICTIONS)
        self._writer = Writer(folder, outputs, model.class_names, model.trained.category_ids)

    def write(self, job: Job, result: Result) -> tuple[list[dict], str]:
        """Writes the files of a result; returns its entries in ``predictions.json`` and its summary.

        Threads may share it.

        Raises:
          WriteError: a file cannot be written.
        """
        try:
            files = self._writer.write(result, job.name, job.number)
        except OSError as error:
            raise WriteError(error) from error
        named = {f"{kind}_file": str(path.relative_to(self._folder)) for kind, path in files.items()}
        first = {"image_id": job.number, "file_name": str(job.path)}
        return [{**first, **entry, **named} for entry in result.entries()], result.summary

    def record(self, outcome: Outcome) -> Outcome:
        """Counts the outcome of an image and adds its entries to ``predictions.json``.

        Returns:
          The outcome; its value is the summary of the result, or the line about the error.

        Raises:
          OSError: a file of the image could not be written.
        """
        if isinstance(outcome.error, WriteError):
            raise outcome.error.reason
        if outcome.error is not None:
            self.failed.append(describe_error(outcome.item.path, outcome.error))
            return outcome._replace(value=self.failed[-1])
        entries, summary = outcome.value
        self._predictions.add(entries)
        self.done += 1
        return outcome._replace(value=summary)

    def close(self) -> None:
        """Brings files that are shared by all images up to date."""
        self._predictions.write()
        self._writer.close()


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

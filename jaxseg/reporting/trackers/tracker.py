"""The interface of a tracker."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np


class WriteScalars(Protocol):
    """A function that writes numbers of a step by name, such as "train/loss"."""

    def __call__(self, step: int, values: Mapping[str, float]) -> None: ...


class WriteImage(Protocol):
    """A function that writes a picture of a step, uint8 ``[h, w, 3]``, under a name."""

    def __call__(self, step: int, name: str, image: np.ndarray) -> None: ...


class Tracker(NamedTuple):
    """A tracker of one run, as three functions.

    Attributes:
      write_scalars: ``(step, values)``, writes numbers by name.
      write_image: ``(step, name, image)``, writes a picture, uint8 ``[h, w, 3]``.
      close: ``()``, ends the tracking; everything is written when it returns.
    """

    write_scalars: WriteScalars
    write_image: WriteImage
    close: Callable[[], None]


class RunInfo(NamedTuple):
    """What a tracker is told about a run.

    Attributes:
      workdir: folder of the run. Its name is the name of the run.
      start_step: the step from which the run starts or resumes.
      config: fields of the config with dotted names.
    """

    workdir: pathlib.Path
    start_step: int
    config: Mapping[str, Any]

"""Trackers: programs that collect the numbers and pictures of many runs. ``config.trackers`` chooses some by name.

To add a tracker, add a file with a function ``open_tracker`` that returns a ``Tracker``, and a line to ``TRACKERS``.
"""

import importlib
import importlib.util
from collections.abc import Sequence

from jaxseg.reporting.trackers.tracker import RunInfo, Tracker

# Name in config.trackers: the package that it needs, and the extra of jaxseg that installs it.
TRACKERS = {
    "tensorboard": ("tensorboardX", ""),
    "wandb": ("wandb", "wandb"),
    "mlflow": ("mlflow", "mlflow"),
    "trackio": ("trackio", "trackio"),
}


def check_trackers(names: Sequence[str]) -> None:
    """Checks that the trackers exist and are installed.

    Raises:
      ValueError: a name is unknown, or its package is missing.
    """
    for name in names:
        if name not in TRACKERS:
            raise ValueError(f"trackers is {tuple(names)}; expected names among {', '.join(TRACKERS)}.")
        package, extra = TRACKERS[name]
        if importlib.util.find_spec(package) is None:
            raise ValueError(f"trackers has {name!r}, which is not installed. Run pip install 'jaxseg[{extra}]'.")


def open_trackers(names: Sequence[str], run: RunInfo) -> Tracker:
    """Opens the trackers and returns them as one.

    Raises:
      ValueError: a name is unknown, or its package is missing.
    """
    check_trackers(names)
    opened = [importlib.import_module(f"jaxseg.reporting.trackers.{name}").open_tracker(run) for name in names]

    def write_scalars(step: int, values: dict[str, float]) -> None:
        for tracker in opened:
            tracker.write_scalars(step, values)

    def write_image(step: int, name: str, image: object) -> None:
        for tracker in opened:
            tracker.write_image(step, name, image)

    def close() -> None:
        for tracker in opened:
            tracker.close()

    return Tracker(write_scalars, write_image, close)


__all__ = ["TRACKERS", "RunInfo", "Tracker", "check_trackers", "open_trackers"]

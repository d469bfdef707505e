"""Trackio, which keeps runs in a local database; ``trackio show`` opens its page. TRACKIO_DIR moves the database."""

import os
from collections.abc import Mapping

import numpy as np

from jaxseg.reporting.trackers.tracker import RunInfo, Tracker


def open_tracker(run: RunInfo) -> Tracker:
    """Opens a run of Trackio. The same name of a workdir continues the same run."""
    import trackio

    own = trackio.init(
        project=os.environ.get("TRACKIO_PROJECT", "jaxseg"),
        name=run.workdir.resolve().name,
        config={
            field: value if isinstance(value, int | float | str) else str(value) for field, value in run.config.items()
        },
        resume="allow",
        embed=False,
    )

    def write_scalars(step: int, values: Mapping[str, float]) -> None:
        own.log(dict(values), step=step)

    def write_image(step: int, name: str, image: np.ndarray) -> None:
        own.log({name: trackio.Image(image)}, step=step)

    return Tracker(write_scalars, write_image, own.finish)

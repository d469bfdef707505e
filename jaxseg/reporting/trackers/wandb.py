"""Weights & Biases. Its environment variables apply, such as WANDB_PROJECT and WANDB_MODE=offline."""

import hashlib
import os
from collections.abc import Mapping

import numpy as np

from jaxseg.reporting.trackers.tracker import RunInfo, Tracker


def open_tracker(run: RunInfo) -> Tracker:
    """Opens a run of Weights & Biases. The same workdir continues the same run."""
    import wandb

    folder = run.workdir.resolve()
    own = wandb.init(
        project=os.environ.get("WANDB_PROJECT", "jaxseg"),
        name=folder.name,
        id=hashlib.sha256(str(folder).encode()).hexdigest()[:16],
        resume="allow",
        dir=str(folder),
        config=dict(run.config),
        settings=wandb.Settings(silent=True),
    )

    def write_scalars(step: int, values: Mapping[str, float]) -> None:
        own.log(dict(values), step=step)

    def write_image(step: int, name: str, image: np.ndarray) -> None:
        own.log({name: wandb.Image(image)}, step=step)

    return Tracker(write_scalars, write_image, own.finish)

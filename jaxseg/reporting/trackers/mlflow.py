"""MLflow. Without MLFLOW_TRACKING_URI, it writes to ``WORKDIR/mlflow``."""

import os
import time
from collections.abc import Mapping

import numpy as np

from jaxseg.reporting.trackers.tracker import RunInfo, Tracker
from jaxseg.storage import is_bucket

LONGEST_VALUE = 500  # letters of a parameter that every store accepts


def open_tracker(run: RunInfo) -> Tracker:
    """Opens a run of MLflow. The same workdir continues the same run."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    if is_bucket(run.workdir) and "MLFLOW_TRACKING_URI" not in os.environ:
        raise ValueError("trackers has 'mlflow', which cannot write to a bucket. Set MLFLOW_TRACKING_URI to a server.")
    folder = run.workdir.resolve()
    if "MLFLOW_TRACKING_URI" not in os.environ:
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI", (folder / "mlflow").as_uri()))
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "jaxseg")
    experiment = client.get_experiment_by_name(name)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(name)
    found = client.search_runs([experiment_id], f"tags.workdir = '{folder}'", max_results=1)
    if found:
        run_id = found[0].info.run_id
    else:
        run_id = client.create_run(experiment_id, tags={"workdir": str(folder)}, run_name=folder.name).info.run_id
        params = [Param(field, str(value)[:LONGEST_VALUE]) for field, value in run.config.items()]
        for first in range(0, len(params), 100):
            client.log_batch(run_id, params=params[first : first + 100])

    def write_scalars(step: int, values: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        client.log_batch(run_id, metrics=[Metric(key, value, now, step) for key, value in values.items()])

    def write_image(step: int, name: str, image: np.ndarray) -> None:
        client.log_image(run_id, image, artifact_file=f"pictures/{name}_{step:07d}.png")

    def close() -> None:
        client.set_terminated(run_id)

    return Tracker(write_scalars, write_image, close)

"""TensorBoard: event files in ``WORKDIR/tensorboard``."""

import pathlib
import shutil
import tempfile
import time
from collections.abc import Mapping

import numpy as np
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from jaxseg.reporting.trackers.tracker import RunInfo, Tracker
from jaxseg.storage import is_bucket, make_folder, write_bytes

FLUSH_SECONDS = 1.0
BUCKET_SECONDS = 60.0  # between two copies of the event file to a bucket


def open_tracker(run: RunInfo) -> Tracker:
    """Opens an event file. TensorBoard hides what older files have at or after ``start_step``."""
    folder = run.workdir / "tensorboard"
    local = pathlib.Path(tempfile.mkdtemp(prefix="jaxseg-tensorboard-")) if is_bucket(folder) else folder
    make_folder(local)
    # SummaryWriter is not used: its thread dies when the disk is full, and its queue then blocks forever.
    # TensorBoard reads files in the order of their names.
    writer = EventsWriter(str(local / f"events_{run.start_step:09d}"))
    writer.write_event(Event(step=run.start_step + 1, session_log=SessionLog(status=SessionLog.START)))
    flushed = time.monotonic()

    def save() -> None:
        """Copies the event file to the bucket, where nothing can be appended."""
        for path in local.iterdir() if local != folder else ():
            write_bytes(folder / path.name, path.read_bytes())

    def write(step: int, content: summary.Summary) -> None:
        nonlocal flushed
        writer.write_event(Event(wall_time=time.time(), step=step, summary=content))
        if time.monotonic() - flushed > (FLUSH_SECONDS if local == folder else BUCKET_SECONDS):
            writer.flush()
            save()
            flushed = time.monotonic()

    def write_scalars(step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            write(step, summary.scalar(name, value))

    def write_image(step: int, name: str, image: np.ndarray) -> None:
        write(step, summary.image(name, image, dataformats="HWC"))

    def close() -> None:
        writer.close()
        save()
        if local != folder:
            shutil.rmtree(local)

    return Tracker(write_scalars, write_image, close)

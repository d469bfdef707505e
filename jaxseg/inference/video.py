"""Video files, cameras and RTSP addresses: an overlaid video and one JSON line per frame.

OpenCV reads and writes them by its own copy of FFmpeg.
"""

import contextlib
import json
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np

from jaxseg.ctrl_c import unfinished
from jaxseg.inference.pipeline import run_pipeline
from jaxseg.inference.predictor import Predictor

ENDINGS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
STREAM = re.compile(r"\d+|(rtsp|rtsps|rtmp|http|https)://.+")
USUAL_RATE = 25.0  # Frames per second of a source that does not tell its rate.


class Video(NamedTuple):
    """An open source of frames.

    Attributes:
      capture: OpenCV's reader.
      rate: frames per second.
      count: number of frames; None if it is not known, as for cameras.
    """

    capture: cv2.VideoCapture
    rate: float
    count: int | None


def is_video(source: str) -> bool:
    """Returns whether an input is a video file, a camera's number or the address of a stream.

    >>> [is_video(text) for text in ("a.MP4", "0", "rtsp://camera/1", "a.jpg", "folder")]
    [True, True, True, False, False]
    """
    if pathlib.Path(source).is_dir():
        return False
    return bool(STREAM.fullmatch(source)) or pathlib.Path(source).suffix.lower() in ENDINGS


def open_video(source: str) -> Video:
    """Opens a video file, a camera by its number, or a stream by its address.

    Raises:
      ValueError: it cannot be opened.
    """
    capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
    if not capture.isOpened():
        raise ValueError(
            f"--input {source} cannot be opened as a video; expected a file, a camera's number or an address"
        )
    rate, count = capture.get(cv2.CAP_PROP_FPS), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return Video(capture, rate if 0 < rate <= 1000 else USUAL_RATE, count if count > 0 else None)


def read_frames(video: Video, stopped: Callable[[], bool] = lambda: False) -> Iterator[np.ndarray]:
    """Yields the frames of a video, uint8 RGB ``[h, w, 3]``, until it ends or ``stopped`` is True."""
    while not stopped():
        good, frame = video.capture.read()
        if not good:
            return
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def predict_video(
    predictor: Predictor,
    source: str,
    output: pathlib.Path,
    *,
    begin: Callable[[int | None], None] = lambda count: None,
    say: Callable[[int, str], None] = lambda number, summary: None,
    stopped: Callable[[], bool] = lambda: False,
    name: str = "",
    **options: Any,
) -> dict[str, pathlib.Path]:
    """Predicts the frames of a video in their order.

    Args:
      predictor: predicts the frames.
      source: see ``open_video``.
      output: the folder for ``NAME_overlay.mp4`` and ``NAME.jsonl``.
      begin: called before the first frame, with the number of frames, or None if it is not known.
      say: called with the number of each frame, from 0, and a summary of its result.
      stopped: called before each frame; once it returns True, the video ends there.
      name: the ``NAME`` of the files; "" takes that of the source.
      **options: fields of ``Options``.

    Returns:
      The paths that were written: "overlay" and "frames".

    Raises:
      ValueError: the video cannot be opened, has no frames, or cannot be written.
    """
    engine = predictor.engine(**options)
    video = open_video(source)
    output.mkdir(parents=True, exist_ok=True)
    name = name or video_name(source)
    paths = {"overlay": output / f"{name}_overlay.mp4", "frames": output / f"{name}.jsonl"}
    begin(video.count)
    frames, written = read_frames(video, stopped), 0
    # Each line is on disk as soon as its frame is done.
    with written_video(paths["overlay"], video.rate) as write, paths["frames"].open("w", buffering=1) as lines:
        try:
            for number, outcome in enumerate(
                run_pipeline(engine, frames, lambda frame: (frame, None), options.get("batch", 1), lambda _, r: r)
            ):
                if outcome.error is not None:
                    raise ValueError(f"frame {number} of {source} cannot be segmented: {outcome.error}")
                result = outcome.value
                write(result.overlay())
                time = round(number / video.rate, 4)
                lines.write(json.dumps({"frame": number, "time": time, "results": result.entries()}) + "\n")
                say(number, result.summary)
                written += 1
        finally:
            video.capture.release()
    if not written and not stopped():
        raise ValueError(f"--input {source} has no frames that can be read")
    return paths


@contextlib.contextmanager
def written_video(path: pathlib.Path, rate: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Yields a function that writes a frame, uint8 RGB ``[h, w, 3]``, of an MP4 file.

    The file appears at the end of the context, since nothing can play it before. Without a frame, there is none.

    Args:
      path: the file, which ends in ``.mp4``.
      rate: frames per second.
    """
    part, writer = path.with_name(f"{path.stem}.part.mp4"), None

    def write(frame: np.ndarray) -> None:
        nonlocal writer
        even = pad_to_even(frame)
        writer = writer or _open_writer(part, rate, even.shape[:2])
        writer.write(cv2.cvtColor(even, cv2.COLOR_RGB2BGR))

    with unfinished(part):
        try:
            yield write
        finally:
            if writer is not None:
                writer.release()
                part.replace(path)


def video_name(source: str) -> str:
    """Returns the name for the files of a video.

    >>> [video_name(source) for source in ("films/my cat.mp4", "0")]
    ['my_cat', 'camera_0']
    """
    return f"camera_{source}" if source.isdigit() else re.sub(r"\W+", "_", pathlib.Path(source).stem) or "video"


def pad_to_even(frame: np.ndarray) -> np.ndarray:
    """Repeats the last row or column of a frame ``[h, w, 3]`` with an odd side, which MPEG-4 would cut off.

    >>> pad_to_even(np.zeros((1, 640, 3), np.uint8)).shape
    (2, 640, 3)
    """
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _open_writer(path: pathlib.Path, rate: float, size: tuple[int, int]) -> cv2.VideoWriter:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, size[::-1])
    if not writer.isOpened():
        raise ValueError(f"{path} cannot be written as a video. Choose another --output.")
    return writer

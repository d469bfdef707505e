"""A queue of images for a predictor: waiting requests share batches, and the number of waiting requests is bounded.

``server_app`` puts it behind HTTP. One thread computes, so that requests never compete for the device.
"""

import io
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

import numpy as np

from jaxseg.data.decoding import open_image
from jaxseg.data.images import decode_image, read_options
from jaxseg.inference.pipeline import run_pipeline
from jaxseg.inference.predictor import Predictor
from jaxseg.inference.results import Result

Handle = Callable[[Result], Any]
OPENCV_LIMIT = "CV_IO_MAX_IMAGE_PIXELS"  # OpenCV's errors name it where an image has too many pixels.


class Limits(NamedTuple):
    """Limits of a server.

    Attributes:
      bytes: largest upload.
      pixels: largest number of pixels of an image.
      waiting: requests that wait; further ones are refused.
      batch: images per batch.
      seconds: the longest time for an upload, and for an answer.
    """

    bytes: int = 20_000_000
    pixels: int = 25_000_000
    waiting: int = 32
    batch: int = 4
    seconds: float = 60.0


class QueueFull(Exception):
    """The error of a request that comes when the queue is full."""


class ImageTooLarge(ValueError):
    """An image has more pixels than the limit allows."""


class _Request(NamedTuple):
    """An image that waits: its encoded bytes, the options of its prediction, and the future of its answer."""

    encoded: bytes
    options: tuple[tuple[str, Any], ...]
    future: Future


class Service:
    """A thread that predicts encoded images; use it as a context manager, which stops the thread at its end.

    Args:
      predictor: makes the results.
      handle: turns a result into an answer; called in a thread.
      limits: bounds for images and for the queue.
    """

    def __init__(self, predictor: Predictor, handle: Handle, limits: Limits = Limits()):  # noqa: B008, immutable
        self.predictor, self.limits = predictor, limits
        self._handle = handle
        self._queue: queue.Queue[_Request | None] = queue.Queue()
        self._room = threading.Semaphore(limits.waiting)
        self._thread = threading.Thread(target=self._work, name="predictions", daemon=True)

    def __enter__(self) -> "Service":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._queue.put(None)
        self._thread.join(timeout=5)

    def submit(self, encoded: bytes, **options: Any) -> Future:
        """Returns the future of an image's answer. A canceled future is never computed.

        Raises:
          QueueFull: too many requests wait.
        """
        if not self._room.acquire(blocking=False):
            raise QueueFull(f"{self.limits.waiting} requests wait already. Try again later.")
        request = _Request(encoded, tuple(sorted(options.items())), Future())
        self._queue.put(request)
        return request.future

    def warm_up(self, images: Sequence[np.ndarray], **options: Any) -> int:
        """Compiles the programs that requests use, so that no visitor waits for the compiler.

        Args:
          images: typical images, uint8 ``[h, w, 3]``.
          **options: fields of ``Options`` that requests set, without ``batch``.
        """
        for batch in sorted({1, self.limits.batch}):
            engine = self.predictor.engine(**options, batch=batch)
            # Objects share programs by padded size. A label map also has the image's own size.
            sized = self.predictor.task == "semantic"
            prepared = {(one.bucket, one.image.shape if sized else ()): one for one in map(engine.prepare, images)}
            for one in prepared.values():
                engine.finish(one, engine.compute([one] * batch)[0])

    def read(self, request: _Request) -> tuple[np.ndarray, None]:
        """Decodes the image of a request.

        Raises:
          ImageTooLarge: it has too many pixels. The header of most formats tells before they are decoded.
          ValueError: it cannot be read.
        """
        try:
            image = open_image(io.BytesIO(request.encoded))
        except Exception as error:  # damaged files make the libraries raise errors of almost any type
            raise ValueError(f"the upload cannot be read as an image: {error}") from error
        if image is not None:
            self._check_size(*image.size)
            image.close()
        options = read_options(self.predictor.trained.config.data)
        options = options._replace(max_pixels=min(options.max_pixels, self.limits.pixels))
        try:
            pixels = decode_image(request.encoded, "the upload", options, [])
        except ValueError as error:
            if OPENCV_LIMIT in str(error):
                raise ImageTooLarge(f"the image has too many pixels; expected at most {self.limits.pixels}.") from error
            raise
        self._check_size(*pixels.shape[1::-1])  # OpenCV decodes some formats that Pillow has no header of.
        return pixels, None

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self.limits.pixels:
            raise ImageTooLarge(
                f"the image has {width}x{height} pixels; expected at most {self.limits.pixels}. Make it smaller."
            )

    def _work(self) -> None:
        """Answers requests until None arrives."""
        while (first := self._queue.get()) is not None:
            waiting, ended = self._gather(first)
            groups: dict[Any, list[_Request]] = {}
            for request in waiting:
                self._room.release()
                if request.future.set_running_or_notify_cancel():
                    groups.setdefault(request.options, []).append(request)
            for group in groups.values():
                self._answer(group)
            if ended:
                return

    def _gather(self, first: _Request) -> tuple[list[_Request], bool]:
        """Returns at most ``batch`` requests that wait now, and whether the service ends after them."""
        found = [first]
        while len(found) < self.limits.batch:
            try:
                request = self._queue.get_nowait()
            except queue.Empty:
                break
            if request is None:
                return found, True
            found.append(request)
        return found, False

    def _answer(self, group: Sequence[_Request]) -> None:
        """Predicts images with equal options and sets their futures; an error concerns its own image only."""
        try:
            batch = 1 if len(group) == 1 else self.limits.batch  # One image alone need not pay for a full batch.
            engine = self.predictor.engine(**dict(group[0].options), batch=batch)
            for outcome in run_pipeline(engine, group, self.read, batch, lambda _, result: self._handle(result)):
                if outcome.error is None:
                    outcome.item.future.set_result(outcome.value)
                else:
                    outcome.item.future.set_exception(outcome.error)
        except Exception as error:  # The thread must outlive every error.
            for request in group:
                if not request.future.done():
                    request.future.set_exception(error)

"""Many images: reading, computing and writing overlap, in order and within bounded memory.

Threads read and resize images ahead. This thread groups them into batches of equal size and starts the computation. The
device computes in the background. Other threads wait for the results and write them.
"""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from jaxseg.inference.engine import Engine, Prepared
from jaxseg.inference.results import Result

READERS = 2
WRITERS = 2

Reader = Callable[[Any], tuple[np.ndarray, str | None]]


class Outcome(NamedTuple):
    """The result of one image, or its error.

    Attributes:
      item: what was given.
      result: its result; None after an error.
      error: what went wrong; None for a result.
      value: what ``handle`` returned for the result.
    """

    item: Any
    result: Result | None = None
    error: Exception | None = None
    value: Any = None


class _Read(NamedTuple):
    """An image that was read: prepared for the device, or the error."""

    item: Any
    path: str | None = None
    prepared: Prepared | None = None
    error: Exception | None = None


def run_pipeline(
    engine: Engine,
    items: Iterable[Any],
    read: Reader,
    batch: int = 1,
    handle: Callable[[Any, Result], Any] | None = None,
) -> Iterator[Outcome]:
    """Yields the outcome of every item, in order.

    Args:
      engine: prepares, computes and finishes.
      items: anything that ``read`` understands.
      read: ``item -> (image, path)``; it is called in a thread, and its errors become outcomes.
      batch: images per batch.
      handle: ``(item, result) -> value``, such as writing files; it is called in a thread. None keeps the results.
    """
    with ThreadPoolExecutor(READERS) as readers, ThreadPoolExecutor(WRITERS) as writers:
        images = _read_ahead(readers, items, lambda item: _read_one(engine, read, item), 2 * batch + READERS)
        waiting: deque[Future] = deque()
        for future in _compute(engine, images, batch, writers, handle):
            waiting.append(future)
            while waiting and (len(waiting) > 2 * batch + WRITERS or waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _read_ahead(pool: ThreadPoolExecutor, items: Iterable, function: Callable, ahead: int) -> Iterator:
    """Yields ``function(item)`` in order; up to ``ahead`` calls run or wait in threads."""
    futures: deque[Future] = deque()
    try:
        for item in items:
            futures.append(pool.submit(function, item))
            if len(futures) > ahead:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
    finally:
        for future in futures:
            future.cancel()


def _read_one(engine: Engine, read: Reader, item: Any) -> _Read:
    try:
        image, path = read(item)
        return _Read(item, path, engine.prepare(image))
    except Exception as error:  # Damaged files make the libraries below raise errors of almost any type.
        return _Read(item, error=error)


def _compute(
    engine: Engine, images: Iterable[_Read], batch: int, writers: ThreadPoolExecutor, handle: Callable | None
) -> Iterator[Future]:
    """Yields a future of the outcome of each image, in order; images of one bucket share a batch."""
    held: deque[tuple[_Read, Future]] = deque()  # In order; those with an unset future wait for their batch to fill.
    groups: dict[Any, list[tuple[_Read, Future]]] = {}

    def start(bucket: Any) -> None:
        """Computes the waiting images of a bucket, and hands their results to the writers."""
        group = groups.pop(bucket)
        try:
            pending = engine.compute([image.prepared for image, _ in group])
        except Exception as error:
            for image, slot in group:
                slot.set_result(writers.submit(Outcome, image.item, None, error))
            return
        for (image, slot), one in zip(group, pending, strict=True):
            slot.set_result(writers.submit(_finish, engine, image, one, handle))

    for image in images:
        slot: Future = Future()
        held.append((image, slot))
        if image.error is not None:
            slot.set_result(writers.submit(Outcome, image.item, None, image.error))
        else:
            bucket = image.prepared.bucket
            groups.setdefault(bucket, []).append((image, slot))
            if bucket is None or len(groups[bucket]) == batch:
                start(bucket)
        if len(held) > 4 * batch and not held[0][1].done():
            start(held[0][0].prepared.bucket)
        while held and held[0][1].done():
            yield held.popleft()[1].result()
    while held:
        if not held[0][1].done():
            start(held[0][0].prepared.bucket)
        yield held.popleft()[1].result()


def _finish(engine: Engine, image: _Read, pending: Any, handle: Callable | None) -> Outcome:
    try:
        result = dataclasses.replace(engine.finish(image.prepared, pending), path=image.path)
        if handle is None:
            return Outcome(image.item, result)
        return Outcome(image.item, value=handle(image.item, result))
    except Exception as error:
        return Outcome(image.item, error=error)

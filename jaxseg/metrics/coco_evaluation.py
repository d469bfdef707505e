"""Scores detections with pycocotools: worker processes paste, encode and match them while the device works on."""

import contextlib
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import SimpleNamespace
from typing import Any, NamedTuple

from jaxseg.data.coco.format import categories, ground_truth
from jaxseg.data.workers import begin_work
from jaxseg.metrics.average_precision import Matches, match, summarize
from jaxseg.metrics.detections import to_coco_results
from jaxseg.types import Source

AHEAD = 256  # images, of 0.3 MB for a hundred detections, that may wait for the workers


class Scoring(NamedTuple):
    """An evaluation under way.

    Attributes:
      source: the split that is scored.
      pool: does the work.
      matches: will be what was found of each image so far.
    """

    source: Source
    pool: ProcessPoolExecutor
    matches: tuple[Future, ...] = ()


@contextlib.contextmanager
def start(source: Source, processes: int) -> Iterator[Scoring]:
    """An evaluation that has seen no image yet; its workers live as long as the context.

    Args:
      source: the split, which each worker gets a copy of.
      processes: how many workers there are.

    Raises:
      ValueError: the data set has no objects.
    """
    if source.catalogue is None:
        raise ValueError("the data set has label maps but no objects: detectors cannot be scored on it")
    # Not forked: JAX has threads, which a fork would leave behind with what they hold locked.
    spawning = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, spawning, initializer=_begin, initargs=(source,))
    try:
        yield Scoring(source, pool)
    finally:
        pool.shutdown(cancel_futures=True)


def add(scoring: Scoring, instances: Any, index: int, size: tuple[int, int]) -> Scoring:
    """The evaluation with one image more.

    Args:
      scoring: the evaluation so far.
      instances: of one image, see ``detections.describe``.
      index: which record of the source the image is.
      size: its original height and width.

    Raises:
      RuntimeError: a worker has died.
    """
    if len(scoring.matches) >= AHEAD:
        _done(scoring.matches[-AHEAD])
    # A plain namespace, since the class of the instances would bring JAX into the workers.
    plain = SimpleNamespace(**instances._asdict())
    with _deaths_explained():
        future = scoring.pool.submit(_matches_of, plain, index, size)
    return scoring._replace(matches=(*scoring.matches, future))


def matches(scoring: Scoring) -> list[Matches]:
    """What was found of each image so far.

    Raises:
      RuntimeError: a worker has died.
    """
    return [_done(future) for future in scoring.matches]


def scores(scoring: Scoring, matches: Sequence[Matches]) -> dict[str, Any]:
    """The scores of matches, from whatever processes they come, see ``average_precision.summarize``.

    Raises:
      ValueError: there is no object to score.
      RuntimeError: a worker has died.
    """
    source = scoring.source
    scored_ids = [category["id"] for category in categories(source)]
    with _deaths_explained():
        return summarize(matches, source.catalogue.category_ids, scored_ids, scoring.pool.map)


_split: Source  # a worker's own


def _begin(source: Source) -> None:
    """Called in each worker before its first image."""
    global _split
    _split = source
    begin_work()


def _matches_of(instances: Any, index: int, size: tuple[int, int]) -> Matches:
    """In a worker."""
    return match(ground_truth(_split, [index]), to_coco_results(instances, size, _split.catalogue.category_ids))


def _done(future: Future) -> Matches:
    with _deaths_explained():
        return future.result()


@contextlib.contextmanager
def _deaths_explained() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a process that scores detections has died, as happens where memory runs out; what it had to say stands "
            "above. There are config.data.workers of them, at least two: with fewer, each has more memory"
        ) from error

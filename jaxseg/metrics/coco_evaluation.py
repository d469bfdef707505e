"""Scores detections with pycocotools: worker processes paste, encode and match them while the device works on."""

import contextlib
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from jaxseg.data.coco.format import categories, ground_truth
from jaxseg.data.naming import named_errors
from jaxseg.data.workers import begin_work, starting_workers
from jaxseg.metrics.average_precision import curves_by_kind, mean_curve, summarize
from jaxseg.metrics.calibration import calibration, sum_cases
from jaxseg.metrics.coco_matching import KINDS, Matches, match
from jaxseg.metrics.details import Curve, Details, ImageScore
from jaxseg.metrics.detection_errors import RIGHT, error_costs
from jaxseg.metrics.detections import to_coco_results
from jaxseg.metrics.per_image import score_detections
from jaxseg.types import Source

COUNTED_SCORE = 0.5  # detections with lower scores do not count for the score of an image
AHEAD = 256  # images, of 0.3 MB for a hundred detections, that may wait for the workers


class Scoring(NamedTuple):
    """The state of an evaluation.

    Attributes:
      source: the split that is scored.
      pool: the worker processes.
      matches: the future ``Matches`` of each image so far.
    """

    source: Source
    pool: ProcessPoolExecutor
    matches: tuple[Future, ...] = ()


@contextlib.contextmanager
def start(source: Source, processes: int) -> Iterator[Scoring]:
    """Starts an evaluation without images; its workers end with the context.

    Args:
      source: the split; each worker gets a copy of it.
      processes: number of workers.

    Raises:
      ValueError: the data set has no objects.
    """
    if source.catalogue is None:
        raise ValueError("the data set has label maps but no objects: detectors cannot be scored on it")
    # Not forked: a fork would copy locks that threads of JAX hold, but not these threads.
    spawning = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, spawning, initializer=_begin, initargs=(source,))
    try:
        with starting_workers():
            for _ in range(processes):
                pool.submit(int)  # Each starts a worker, as long as none is idle.
        yield Scoring(source, pool)
    finally:
        pool.shutdown(cancel_futures=True)


def add(scoring: Scoring, instances: Any, index: int, size: tuple[int, int]) -> Scoring:
    """Adds one image to the evaluation.

    Args:
      scoring: the evaluation so far.
      instances: the instances of the image, see ``detections.to_coco_results``.
      index: the index of its record in the source.
      size: its original height and width.

    Raises:
      RuntimeError: a worker has died.
    """
    if len(scoring.matches) >= AHEAD:
        _done(scoring.matches[-AHEAD])
    # A plain namespace, because the class of the instances would import JAX in the workers.
    plain = SimpleNamespace(**instances._asdict())
    with _deaths_explained():
        future = scoring.pool.submit(_matches_of, plain, index, size)
    return scoring._replace(matches=(*scoring.matches, future))


def matches(scoring: Scoring) -> list[Matches]:
    """Returns the matches of each image so far.

    Raises:
      RuntimeError: a worker has died.
    """
    return [_done(future) for future in scoring.matches]


def scores(scoring: Scoring, matches: Sequence[Matches]) -> dict[str, Any]:
    """Returns the scores of matches from all processes, see ``average_precision.summarize``.

    Raises:
      ValueError: there is no object to score.
      RuntimeError: a worker has died.
    """
    source = scoring.source
    scored_ids = [category["id"] for category in categories(source)]
    with _deaths_explained():
        return summarize(matches, source.catalogue.category_ids, scored_ids, scoring.pool.map)


def details(scoring: Scoring, matches: Sequence[Matches]) -> Details:
    """Returns the details of matches from all processes that a report shows in addition to the scores.

    Raises:
      RuntimeError: a worker has died.
    """
    image_ids = scoring.source.catalogue.image_ids
    by_id = {one.image_id: one for one in matches}
    scored = len(categories(scoring.source))
    with _deaths_explained():
        curves = curves_by_kind(matches, scored, scoring.pool.map)
    masks = [one.errors["segm"] for one in matches]
    sums = sum(sum_cases(one.scores[~one.in_crowd], (one.kinds == RIGHT)[~one.in_crowd]) for one in masks)
    return Details(
        ranked_by=f"F1 of masks with a score of at least {COUNTED_SCORE} at IoU 0.5",
        images=[_image_score(index, by_id[number]) for index, number in enumerate(image_ids) if number in by_id],
        calibration=calibration(sums),
        calibrated="detections",
        curves=[Curve(kind, {iou: mean_curve(own, iou) for iou in (0.5, 0.75)}) for kind, own in curves.items()],
        errors={kind: error_costs([one.errors[kind] for one in matches]) for kind in KINDS},
    )


def _image_score(index: int, matches: Matches) -> ImageScore:
    masks = matches.errors["segm"]
    counts = (masks.scores >= COUNTED_SCORE) & ~masks.in_crowd
    right = int(np.count_nonzero(counts & (masks.kinds == RIGHT)))
    return score_detections(index, len(masks.objects), int(np.count_nonzero(counts)), right)


_split: Source  # a worker's own


def _begin(source: Source) -> None:
    """Prepares a worker before its first image."""
    global _split
    _split = source
    begin_work()


def _matches_of(instances: Any, index: int, size: tuple[int, int]) -> Matches:
    """Returns the matches of one image; runs in a worker."""
    with named_errors(_split.files, index):
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
            "a process that scores detections has died, often because memory ran out. Its messages are above. "
            "There are config.data.workers of these processes, at least two. Lower it, so that each has more memory."
        ) from error

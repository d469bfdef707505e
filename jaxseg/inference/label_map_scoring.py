"""Counts the pixels of predicted label maps in the pixels of the files, for scores and reports."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxseg.data.semantic.transforms import check_label
from jaxseg.inference.engine import Engine
from jaxseg.inference.semantic_result import SemanticResult
from jaxseg.inference.shares import handle_share
from jaxseg.metrics import per_image
from jaxseg.metrics import semantic as metrics
from jaxseg.metrics.calibration import BINS, calibration
from jaxseg.metrics.details import Details
from jaxseg.types import IGNORE, Source


class ImageCounts(NamedTuple):
    """Counts of the pixels of one image.

    Attributes:
      index: the number of the image in its split.
      confusion: int64 ``[k, k]``, see ``confusion_matrix``.
      confidence: float64 ``[3, bins]``, see ``metrics.calibration``; zeros without confidences.
    """

    index: int
    confusion: np.ndarray
    confidence: np.ndarray


def score_label_maps(engine: Engine, count: int, source: Source, batch: int = 1) -> dict[str, Any]:
    """Returns the scores of label maps in the pixels of the files, predicted by this process alone.

    Args:
      engine: predicts them.
      count: the number of classes.
      source: the split.
      batch: images per batch.
    """
    return metrics.result(sum_confusions(count_label_maps(engine, count, source, batch), count))


def count_label_maps(
    engine: Engine, count: int, source: Source, batch: int = 1, share: tuple[int, int] = (0, 1)
) -> list[ImageCounts]:
    """Returns the counts of a share of the images, in the pixels of the files.

    Args:
      engine: predicts label maps.
      count: the number of classes.
      source: the split.
      batch: images per batch.
      share: which share of the images, and how many shares there are.
    """
    labels: dict[int, np.ndarray] = {}

    def read(index: int) -> tuple[np.ndarray, None]:
        record = check_label(source.records[index], count)
        labels[index] = record.label
        return record.image, None

    def compare(index: int, result: SemanticResult) -> ImageCounts:
        label = labels.pop(index)
        confidence = np.zeros((3, BINS)) if result.confidence is None else confidence_sums(label, result)
        return ImageCounts(index, confusion_matrix(label, result.mask, count), confidence)

    return list(handle_share(engine, source, read, batch, share, compare))


def describe_label_maps(images: Sequence[ImageCounts], class_names: Sequence[str]) -> Details:
    """Returns the details of an evaluation of label maps, for a report."""
    images = sorted(images, key=lambda one: one.index)
    confusions = np.stack([one.confusion for one in images])
    hits, truth, predicted = np.diagonal(confusions, axis1=1, axis2=2), confusions.sum(axis=2), confusions.sum(axis=1)
    return Details(
        ranked_by="mean IoU of the image",
        images=per_image.score_label_maps(np.stack([hits, truth, predicted], axis=1), class_names),
        calibration=calibration(np.sum([one.confidence for one in images], axis=0)),
        calibrated="pixels",
        confusion=confusions.sum(axis=0),
    )


def sum_confusions(images: Sequence[ImageCounts], count: int) -> np.ndarray:
    return sum((one.confusion for one in images), metrics.start(count))


def confusion_matrix(label: np.ndarray, predicted: np.ndarray, classes: int, rows: int = 1024) -> np.ndarray:
    """Returns int64 ``[k, k]``: how many pixels of each class, a row each, are predicted as which class.

    Pixels of the value 255 are left out. Some rows are counted at a time, which bounds the memory for huge images.

    >>> confusion_matrix(np.array([[0, 1, 255]]), np.array([[1, 1, 0]]), 2).tolist()
    [[0, 1], [0, 1]]
    """
    total = np.zeros(classes * classes, np.int64)
    for top in range(0, len(label), rows):
        truth, found = label[top : top + rows].astype(np.int64), predicted[top : top + rows]
        counted = truth != IGNORE
        total += np.bincount(truth[counted] * classes + found[counted], minlength=classes * classes)
    return total.reshape(classes, classes)


def confidence_sums(label: np.ndarray, result: SemanticResult, rows: int = 1024) -> np.ndarray:
    """Returns the sums that ``calibration`` takes, over the pixels of an image that count; float64 ``[3, bins]``.

    Confidences are those of the result, in steps of 1/255.
    """
    cases, hits = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for top in range(0, len(label), rows):
        part = np.s_[top : top + rows]
        truth, confidence = label[part], result.confidence[part]
        cases += np.bincount(confidence[truth != IGNORE], minlength=256)
        hits += np.bincount(confidence[truth == result.mask[part]], minlength=256)
    levels = np.arange(256) / 255
    number = np.minimum((levels * BINS).astype(int), BINS - 1)
    return np.stack([np.bincount(number, sums, minlength=BINS) for sums in (cases, levels * cases, hits)])

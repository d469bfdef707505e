"""Scores of single images, by which a report finds the worst and the best."""

from collections.abc import Sequence

import numpy as np

from jaxseg.metrics.details import ImageScore


def score_label_maps(pixels: np.ndarray, class_names: Sequence[str]) -> list[ImageScore]:
    """Returns the scores of images; the score is the mean IoU of the image.

    The mean is over the classes that occur in the truth or in the prediction of this image.

    Args:
      pixels: int ``[n, 3, k]``: pixels of each class that are right, that are so in the truth, and in the prediction.
      class_names: k names.
    """
    hits, truth, predicted = np.moveaxis(np.asarray(pixels, np.float64), 1, 0)
    union = truth + predicted - hits
    iou = np.divide(hits, union, out=np.full(hits.shape, np.nan), where=union > 0)
    scores = []
    for index, (row, right, total) in enumerate(zip(iou, hits.sum(axis=1), truth.sum(axis=1), strict=True)):
        present = row[~np.isnan(row)]
        mean = float(present.mean()) if present.size else 0.0
        values = {"pixel_accuracy": float(right / total) if total else None, "mean_iou": mean if total else None}
        values |= {
            f"iou {name}": None if np.isnan(value) else float(value)
            for name, value in zip(class_names, row, strict=True)
        }
        scores.append(ImageScore(index, mean, values))
    return scores


def score_detections(index: int, objects: int, found: int, right: int) -> ImageScore:
    """Returns the score of an image of a detector: F1, ``2 right / (objects + found)``; 1 where nothing is to find.

    Args:
      index: which record it is.
      objects: number of objects, without crowd regions.
      found: number of detections that count.
      right: number of them that match an object.
    """
    total = objects + found
    f1 = 2 * right / total if total else 1.0
    return ImageScore(index, f1, {"f1": f1, "objects": objects, "found": found, "right": right})


def choose_extremes(images: Sequence[ImageScore], count: int) -> dict[str, list[ImageScore]]:
    """Returns the worst, the median and the best images, ``count`` each at most; few images are not shown twice.

    The worst come first in each list but "best", which starts with the best.
    """
    ranked = sorted(images, key=lambda one: (one.score, one.index))
    count = min(count, -(-len(ranked) // 3))
    worst, rest = ranked[:count], ranked[count:]
    best, rest = rest[::-1][:count], rest[: max(len(rest) - count, 0)]
    first = max((len(rest) - count) // 2, 0)
    return {"worst": worst, "median": rest[first : first + count], "best": best}

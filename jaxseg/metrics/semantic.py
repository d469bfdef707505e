"""Scores of label maps from one confusion matrix, as Long et al. 2015 (FCN, section 5) define them.

With ``n[i, j]`` pixels of class i predicted as class j, and ``t[i] = sum_j n[i, j]``::

    pixel accuracy           sum_i n[i, i] / sum_i t[i]
    mean pixel accuracy      mean_i n[i, i] / t[i]
    mean IoU                 mean_i n[i, i] / (t[i] + sum_j n[j, i] - n[i, i])
    frequency-weighted IoU   sum_i t[i] IoU[i] / sum_i t[i]

A class that is neither in the truth nor in the prediction has no IoU (None in the report), and no mean includes it. A
class that is in the prediction alone has IoU 0 and no pixel accuracy.
"""

import numpy as np

SCORES = ("pixel_accuracy", "mean_pixel_accuracy", "mean_iou", "frequency_weighted_iou")


def start(classes: int) -> np.ndarray:
    """Returns an empty confusion matrix, int64 ``[k, k]``: rows are the truth, columns the prediction.

    Example:
      >>> start(2).tolist()
      [[0, 0], [0, 0]]
    """
    return np.zeros((classes, classes), np.int64)


def add(confusion: np.ndarray, more: np.ndarray) -> np.ndarray:
    """Adds the counts of another confusion matrix, in 64 bits, because the counts of a data set exceed 32.

    Example:
      >>> add(start(2), np.array([[3, 1], [0, 4]], np.int32)).tolist()
      [[3, 1], [0, 4]]
    """
    return confusion + np.asarray(more).astype(np.int64)


def result(confusion: np.ndarray) -> dict[str, float | list[float | None]]:
    """Returns the scores of a confusion matrix ``[k, k]`` as fractions; ``iou`` has one entry per class.

    Raises:
      ValueError: no pixel was counted.

    Example:
      >>> scores = result(np.array([[3, 1], [0, 4]]))  # three pixels of class 0 are right, one is taken for class 1
      >>> scores["pixel_accuracy"], scores["mean_pixel_accuracy"], scores["iou"]
      (0.875, 0.875, [0.75, 0.8])
    """
    total = confusion.sum()
    if total == 0:
        raise ValueError("there is no labeled pixel to score: the split is empty or its labels are all 'ignore'")
    hits = np.diag(confusion).astype(np.float64)
    truth = confusion.sum(axis=1)
    union = truth + confusion.sum(axis=0) - np.diag(confusion)
    accuracy = hits[truth > 0] / truth[truth > 0]
    iou = np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)
    return {
        "pixel_accuracy": float(hits.sum() / total),
        "mean_pixel_accuracy": float(accuracy.mean()),
        "mean_iou": float(np.nanmean(iou)),
        "frequency_weighted_iou": float(np.nansum(truth * iou) / total),
        "iou": [None if np.isnan(value) else float(value) for value in iou],
    }

"""Calibration: whether pixels or detections with a confidence of 80 % are right in 80 % of the cases.

Bin i of equally wide bins has n[i] cases, a mean confidence c[i] and the share a[i] of right cases. The expected
calibration error (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017) is::

    ECE = sum_i n[i] |a[i] - c[i]| / sum_i n[i]
"""

from typing import NamedTuple

import numpy as np

BINS = 15


class Calibration(NamedTuple):
    """A reliability diagram.

    Attributes:
      counts: number of cases in each bin, float64 ``[bins]``.
      confidence: mean confidence of each bin; nan in an empty bin.
      accuracy: share of right cases in each bin; nan in an empty bin.
      ece: expected calibration error, 0 is best; nan without a case.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    ece: float


def calibration(sums: np.ndarray) -> Calibration:
    """Returns the reliability diagram of sums over cases.

    Args:
      sums: ``[3, bins]``: number of cases, sum of confidences, number of right cases, per bin.

    Example:
      >>> calibration(sum_cases(np.array([0.75, 0.75]), np.array([True, False]), bins=2)).ece  # half of them are right
      0.25
    """
    counts, confidence, hits = np.asarray(sums, np.float64)
    filled = counts > 0
    means = [np.divide(part, counts, out=np.full(len(counts), np.nan), where=filled) for part in (confidence, hits)]
    gaps = np.abs(means[1] - means[0])[filled]
    ece = float((counts[filled] * gaps).sum() / counts.sum()) if filled.any() else float("nan")
    return Calibration(counts, *means, ece)


def sum_cases(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Returns the sums that ``calibration`` takes, float64 ``[3, bins]``.

    Args:
      confidence: ``[n]``, in 0..1.
      right: bool ``[n]``.
      bins: number of bins.

    Example:
      >>> sum_cases(np.array([0.25, 0.75, 1.0]), np.array([False, True, True]), bins=2).tolist()
      [[1.0, 2.0], [0.25, 1.75], [0.0, 2.0]]
    """
    confidence = np.asarray(confidence, np.float64)
    number = np.minimum((confidence * bins).astype(int), bins - 1)
    weights = (None, confidence, np.asarray(right, np.float64))
    return np.stack([np.bincount(number, weight, minlength=bins).astype(np.float64) for weight in weights])

"""Details of an evaluation that a report shows in addition to its scores."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxseg.metrics.calibration import Calibration


class ImageScore(NamedTuple):
    """The score of one image.

    Attributes:
      index: which record of the source it is.
      score: the number that ranks images, in 0..1, see ``Details.ranked_by``.
      values: further numbers by name, for ``per_image.csv``; None where there is nothing to score.
    """

    index: int
    score: float
    values: Mapping[str, float | int | None]


class Curve(NamedTuple):
    """Precision at 101 recalls from 0 to 1, averaged over classes: ``[101]`` by IoU threshold."""

    kind: str
    precision: Mapping[float, np.ndarray]


class Details(NamedTuple):
    """Details of an evaluation; parts that a task does not have are empty.

    Attributes:
      ranked_by: description of ``ImageScore.score``.
      images: the score of each image, in the order of the split.
      calibration: calibration of pixels or of detections; None where nothing was counted.
      calibrated: the unit that was counted: "pixels" or "detections".
      confusion: int64 ``[k, k]``, rows are the truth, columns the prediction; None for detectors.
      curves: precision-recall curves of detectors.
      errors: for boxes and masks, the cost in AP50 of each kind of error, see ``detection_errors``.
    """

    ranked_by: str
    images: Sequence[ImageScore]
    calibration: Calibration | None
    calibrated: str
    confusion: np.ndarray | None = None
    curves: Sequence[Curve] = ()
    errors: Mapping[str, Mapping[str, float]] = {}

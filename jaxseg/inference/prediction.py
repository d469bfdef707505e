"""What is kept of one photograph."""

from typing import Any, NamedTuple

import numpy as np


class Prediction(NamedTuple):
    """The results for one photograph, all in its own pixels.

    Attributes:
      mask: uint8 ``[h, w]``, an index into the palette for each pixel.
      palette: uint8 ``[n, 3]``.
      overlay: uint8 ``[h, w, 3]``, for people.
      results: entries of predictions.json, without the names of files.
      summary: a few words for the console.
    """

    mask: np.ndarray
    palette: np.ndarray
    overlay: np.ndarray
    results: list[dict[str, Any]]
    summary: str

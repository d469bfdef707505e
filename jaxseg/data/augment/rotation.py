"""Random angles, by which crops and windows are rotated in the same interpolation that resizes them.

As in torchvision, an image keeps its size and turns about the center. What lies outside the image is filled with the
mean color, which normalization turns into zero, and its label is ``IGNORE``. Where a crop is smaller than its image,
the corners show the image beyond the crop.
"""

import numpy as np


def check_angle(largest: float) -> float:
    """Returns ``config.data.augment.rotation`` if it is a valid angle.

    Raises:
      ValueError: it is not in 0..180.
    """
    if not 0 <= largest <= 180:
        raise ValueError(f"config.data.augment.rotation is {largest}; expected 0 to 180 degrees.")
    return largest


def sample_angle(rng: np.random.Generator, largest: float) -> float:
    """Samples an angle in degrees, uniform in ``-largest`` to ``largest``; 0 draws nothing."""
    return rng.uniform(-largest, largest) if largest else 0.0

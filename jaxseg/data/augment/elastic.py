"""Elastic deformation, the augmentation of the U-Net paper (Ronneberger et al. 2015, section 3.1)."""

import math
from typing import NamedTuple

import cv2
import ml_collections
import numpy as np

from jaxseg.data.augment.options import read_fields
from jaxseg.types import Example

GRID = (3, 3)  # shift vectors over the whole image


class Elastic(NamedTuple):
    """Elastic deformation: smooth random shifts of pixels.

    Attributes:
      elastic: standard deviation of the shifts in pixels; 0 disables it.
    """

    elastic: float = 0.0

    @classmethod
    def from_config(cls, data_config: ml_collections.ConfigDict) -> "Elastic":
        """Reads and checks the option.

        Raises:
          ValueError: it is negative.
        """
        options = cls(**read_fields(cls, data_config))
        if not 0 <= options.elastic < math.inf:
            raise ValueError(f"config.data.augment.elastic is {options.elastic}; expected 0 or more pixels.")
        return options

    def apply(self, rng: np.random.Generator, example: Example) -> Example:
        """Deforms an image and its label map."""
        return random_elastic(rng, example, self.elastic) if self.elastic else example


def random_elastic(rng: np.random.Generator, example: Example, std: float) -> Example:
    """Shifts every pixel a little, and neighbors alike.

    Shifts are sampled at the centers of a 3x3 grid, Gaussian in x and in y, and interpolated by cubic convolution. The
    image is mirrored at its edges.

    Args:
      rng: random generator.
      example: image and label.
      std: standard deviation of the shifts, in pixels.
    """
    shifts = rng.normal(0.0, std, (*GRID, 2)).astype(np.float32)
    return deform(example, displacements(shifts, example.label.shape))


def displacements(shifts: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Interpolates a grid of vectors ``[n, n, 2]`` to one (x, y) per pixel, float32 ``[*size, 2]``."""
    return cv2.resize(shifts, size[::-1], interpolation=cv2.INTER_CUBIC)


def deform(example: Example, shifts: np.ndarray) -> Example:
    """Samples each pixel at its position plus its shift ``[h, w, 2]``: bilinear, for the label nearest."""
    height, width = example.label.shape
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    places = shifts + np.stack(np.meshgrid(x, y), axis=-1)
    return Example(
        cv2.remap(example.image, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101),
        cv2.remap(example.label, places, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101),
    )

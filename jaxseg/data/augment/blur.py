"""Gaussian blur."""

import math
from typing import NamedTuple

import cv2
import ml_collections
import numpy as np

from jaxseg.data.augment.options import read_fields
from jaxseg.data.augment.plan import Plan
from jaxseg.types import Example, InstanceExample

LARGEST = 20.0  # pixels; every pixel then reads 121 neighbors per axis
REACH = 3.0  # standard deviations within which the weights are not 0


class Blur(NamedTuple):
    """Gaussian blur with a random standard deviation. Images are mirrored at their edges.

    Attributes:
      blur: largest standard deviation in pixels, uniform in 0 to x.
    """

    blur: float = 0.0

    @classmethod
    def from_config(cls, data_config: ml_collections.ConfigDict) -> "Blur":
        """Reads and checks the option.

        Raises:
          ValueError: it is not in 0..20.
        """
        options = cls(**read_fields(cls, data_config))
        if not 0 <= options.blur <= LARGEST:
            raise ValueError(f"config.data.augment.blur is {options.blur}; expected 0 to {LARGEST:.0f} pixels.")
        return options

    def apply(self, rng: np.random.Generator, example: Example) -> Example:
        """Blurs an image; its label map stays."""
        return example._replace(image=blur_image(example.image, self.sample(rng))) if self.blur else example

    def apply_to_instances(
        self, rng: np.random.Generator, example: InstanceExample, draw_other: object
    ) -> InstanceExample:
        """Blurs an image; its objects stay."""
        del draw_other
        return example._replace(image=blur_image(example.image, self.sample(rng))) if self.blur else example

    def plan(self, rng: np.random.Generator, plan: Plan) -> Plan:
        """Plans the blur, for the device."""
        return plan._replace(blur=self.sample(rng))

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """Samples the weights, see ``gaussian_weights``; their number depends on the options alone."""
        return gaussian_weights(rng.uniform(0.0, self.blur), math.ceil(REACH * self.blur))


def gaussian_weights(std: float, radius: int) -> np.ndarray:
    """Returns the weights of a pixel and of its neighbors at the distances 1 to ``radius``, float32 ``[radius + 1]``.

    The sum over both sides is 1. A standard deviation of 0 gives all weight to the pixel.

    Example:
      >>> gaussian_weights(0.0, 2).tolist()
      [1.0, 0.0, 0.0]
    """
    weights = np.exp(-0.5 * np.square(np.arange(radius + 1) / max(std, 1e-3)))
    return (weights / (2 * weights.sum() - 1)).astype(np.float32)


def blur_image(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Blurs an image ``[h, w, 3]``, uint8, along rows and columns, and rounds once.

    Example:
      >>> blur_image(np.array([[[0] * 3, [100] * 3, [0] * 3]], np.uint8), np.array([0.5, 0.25], np.float32))[0, :, 0]
      array([50, 50, 50], dtype=uint8)
    """
    kernel = np.concatenate([weights[:0:-1], weights])
    blurred = cv2.sepFilter2D(image, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)
    return np.rint(blurred).astype(np.uint8)

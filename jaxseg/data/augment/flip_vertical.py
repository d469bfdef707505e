"""Vertical flips, for images without an up and a down, such as those of microscopes and satellites."""

from typing import NamedTuple

import ml_collections
import numpy as np

from jaxseg.data.augment.options import read_fields
from jaxseg.data.instances.transforms import View
from jaxseg.types import Example


class FlipVertical(NamedTuple):
    """A flip of top and bottom with probability 0.5.

    Attributes:
      flip_vertical: whether to flip at all.
    """

    flip_vertical: bool = False

    @classmethod
    def from_config(cls, data_config: ml_collections.ConfigDict) -> "FlipVertical":
        """Reads the option."""
        return cls(**read_fields(cls, data_config))

    def apply(self, rng: np.random.Generator, example: Example) -> Example:
        """Flips an image and its label map."""
        if self.flip_vertical and rng.random() < 0.5:
            return Example(np.ascontiguousarray(example.image[::-1]), np.ascontiguousarray(example.label[::-1]))
        return example

    def apply_to_view(self, rng: np.random.Generator, view: View) -> View:
        """Flips an image and its objects when their view is applied."""
        return view._replace(flip_vertical=self.flip_vertical and rng.random() < 0.5)

"""Vertical flips, for images without an up and a down, such as those of microscopes and satellites."""

from typing import NamedTuple

import ml_collections
import numpy as np

from jaxseg.data.augment.options import read_fields
from jaxseg.data.augment.plan import Plan
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
        if self.sample(rng):
            return Example(np.ascontiguousarray(example.image[::-1]), np.ascontiguousarray(example.label[::-1]))
        return example

    def apply_to_view(self, rng: np.random.Generator, view: View) -> View:
        """Flips an image and its objects when their view is applied."""
        return view._replace(flip_vertical=self.sample(rng))

    def plan(self, rng: np.random.Generator, plan: Plan) -> Plan:
        """Plans the flip, for the device."""
        return plan.flip_vertical() if self.sample(rng) else plan

    def sample(self, rng: np.random.Generator) -> bool:
        """Samples whether an image is flipped."""
        return self.flip_vertical and rng.random() < 0.5

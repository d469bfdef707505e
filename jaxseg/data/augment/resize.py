"""Sizes of a detector's training images: a random shorter side, or large-scale jitter."""

from typing import NamedTuple

import ml_collections
import numpy as np

from jaxseg.data.augment.options import check_range, read_fields
from jaxseg.data.instances.transforms import View, check_sides, jittered_view, whole_view
from jaxseg.data.resize import Size
from jaxseg.data.semantic.transforms import crop_size


class Resize(NamedTuple):
    """The size of each image: its shorter side chosen at random, or large-scale jitter.

    Attributes:
      min_size: shorter side where there is no choice.
      max_size: upper bound of the longer side.
      window: (height, width) of the window cut out of a jittered image.
      min_sizes: shorter sides to choose from; () uses ``min_size``.
      scale_jitter: range of sizes relative to one that fits the window; (1, 1) disables jitter.
    """

    min_size: int
    max_size: int
    window: Size
    min_sizes: tuple[int, ...] = ()
    scale_jitter: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def from_config(cls, data_config: ml_collections.ConfigDict) -> "Resize":
        """Reads and checks the options.

        Raises:
          ValueError: a side is not positive or exceeds ``config.data.max_size``, or the range is empty.
        """
        check_sides(data_config)
        fields = read_fields(cls, data_config)
        sides, scale = fields["min_sizes"], fields["scale_jitter"]
        if not all(isinstance(side, int) and 0 < side <= data_config.max_size for side in sides):
            raise ValueError(
                f"config.data.augment.min_sizes is {sides}; expected sides in pixels of at most config.data.max_size, "
                f"which is {data_config.max_size}."
            )
        check_range("scale_jitter", scale)
        return cls(data_config.min_size, data_config.max_size, crop_size(data_config), sides, scale)

    @property
    def jitters(self) -> bool:
        """Returns whether sizes are jittered, so that all images are padded to the window."""
        return self.scale_jitter != (1, 1)

    @property
    def choices(self) -> tuple[int, ...]:
        """Returns the shorter sides that occur."""
        return self.min_sizes or (self.min_size,)

    def apply_to_view(self, rng: np.random.Generator, view: View) -> View:
        """Samples the size; ``view`` shows the whole image at its original size."""
        if self.jitters:
            return jittered_view(rng, view.size, self.scale_jitter, self.window)
        return whole_view(view.size, int(rng.choice(self.choices)), self.max_size)

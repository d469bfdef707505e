"""Random crops, resized to the size of the training images and rotated."""

import math
from typing import NamedTuple

import ml_collections
import numpy as np

from jaxseg.data.augment.options import check_range, read_fields
from jaxseg.data.augment.plan import Plan
from jaxseg.data.augment.rotation import check_angle, sample_angle
from jaxseg.data.semantic import transforms
from jaxseg.data.semantic.sizing import read_sizing
from jaxseg.data.semantic.transforms import Color
from jaxseg.types import Example


class Crop(NamedTuple):
    """A crop of random place, side, aspect ratio and angle. The defaults resize the whole image.

    An image is resampled once for all of them.

    Attributes:
      size: (height, width) of the result.
      color: fills what lies outside the image, 0..255.
      stretches: whether it is applied; images that keep their aspect ratio are cut by ``Scale``.
      crop_scale: range of the crop's side relative to the image's side, uniform. A crop larger than the image pads.
      crop_ratio: range of the crop's aspect ratio relative to the image's, uniform in the logarithm.
      rotation: largest angle in degrees, uniform in -x to x, see ``rotation.py``.
    """

    size: tuple[int, int]
    color: Color
    stretches: bool
    crop_scale: tuple[float, float] = (1.0, 1.0)
    crop_ratio: tuple[float, float] = (1.0, 1.0)
    rotation: float = 0.0

    @classmethod
    def from_config(cls, data_config: ml_collections.ConfigDict) -> "Crop":
        """Reads and checks the options.

        Raises:
          ValueError: a range is empty or not positive, or set although images keep their aspect ratio; or the angle
            is not in 0..180.
        """
        ranges = read_fields(cls, data_config)
        rotation = check_angle(ranges.pop("rotation"))
        for field, value in ranges.items():
            check_range(field, value)
        stretches = read_sizing(data_config).stretches
        for field, value in ranges.items():
            if not stretches and value != (1, 1):
                raise ValueError(
                    f"config.data.augment.{field} is {value}; expected (1.0, 1.0), since config.data.resize is "
                    f"{data_config.resize!r}. Set config.data.augment.scale, or config.data.resize='stretch'."
                )
        color = transforms.mean_color(data_config)
        return cls(transforms.crop_size(data_config), color, stretches, **ranges, rotation=rotation)

    def apply(self, rng: np.random.Generator, example: Example) -> Example:
        """Crops, resizes and rotates an example."""
        if not self.stretches:
            return example
        if not self.crops:
            return transforms.resize(example, self.size)
        box, angle = self.random_box(rng, example.label.shape), sample_angle(rng, self.rotation)
        return transforms.crop(example, box, self.size, self.color, angle)

    def plan(self, rng: np.random.Generator, plan: Plan) -> Plan:
        """Plans the crop of an image of the stored size, for the device."""
        if not self.crops:
            return plan
        source = self.stored_size()
        box, angle = self.random_box(rng, source), sample_angle(rng, self.rotation)
        to_source, padded = transforms.crop_map(box, source, self.size, angle)
        rows, columns, shift_y, shift_x = transforms.positions(to_source, self.size)
        plan = plan._replace(rows=rows, columns=columns, padded=padded)
        return plan._replace(shift_y=shift_y, shift_x=shift_x) if self.rotation else plan

    @property
    def crops(self) -> bool:
        """Returns whether the options change anything."""
        return (*self.crop_scale, *self.crop_ratio, self.rotation) != (1, 1, 1, 1, 0)

    def random_box(self, rng: np.random.Generator, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Samples the box ``[x1, y1, x2, y2]`` of a crop of an image of ``size`` (height, width)."""
        height, width = size
        side = rng.uniform(*self.crop_scale)
        stretch = math.exp(rng.uniform(math.log(self.crop_ratio[0]), math.log(self.crop_ratio[1])) / 2)
        box_height, box_width = height * side / stretch, width * side * stretch
        # A box larger than the image has the image at a random place in it.
        y1 = rng.uniform(*sorted((0.0, height - box_height)))
        x1 = rng.uniform(*sorted((0.0, width - box_width)))
        return x1, y1, x1 + box_width, y1 + box_height

    def stored_size(self) -> tuple[int, int]:
        """Returns the size in which examples are cached, large enough that crops need no enlarging.

        It is at most twice the final size, which is four times the memory. Crops smaller than half an image are
        slightly blurred.
        """
        factor = min(max(1.0, 1 / self.crop_scale[0]), 2.0)
        return math.ceil(self.size[0] * factor), math.ceil(self.size[1] * factor)

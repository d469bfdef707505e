"""Random scales of images that keep their aspect ratio, and windows cut out of them and rotated."""

import math
from typing import NamedTuple

import cv2
import ml_collections
import numpy as np

from jaxseg.data.augment.options import check_range, read_fields
from jaxseg.data.augment.rotation import sample_angle
from jaxseg.data.resize import Size
from jaxseg.data.semantic import transforms
from jaxseg.data.semantic.sizing import Sizing, read_sizing
from jaxseg.types import Example


class Scale(NamedTuple):
    """A random scale, and a window of ``data.crop_size`` at a random place in the scaled image.

    Smaller images are padded at the bottom and on the right. It is for every ``data.resize`` but "stretch".

    Attributes:
      sizing: size of an image at scale 1.
      window: (height, width) of the result.
      color: fills what lies outside the image, 0..255.
      rotation: largest angle of the window in degrees, an option of ``Crop``.
      scale: range of the scale, uniform.
    """

    sizing: Sizing
    window: Size
    color: transforms.Color
    rotation: float
    scale: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def from_config(cls, data_config: ml_collections.ConfigDict) -> "Scale":
        """Reads and checks the options.

        Raises:
          ValueError: the range is empty or not positive, or images are stretched.
        """
        scale = read_fields(cls, data_config)["scale"]
        check_range("scale", scale)
        sizing = read_sizing(data_config)
        if sizing.stretches and scale != (1, 1):
            raise ValueError(
                f"config.data.augment.scale is {scale}; expected (1.0, 1.0), since config.data.resize is 'stretch'. "
                "Set config.data.augment.crop_scale, or another config.data.resize."
            )
        rotation = data_config.augment.rotation
        return cls(sizing, transforms.crop_size(data_config), transforms.mean_color(data_config), rotation, scale)

    def apply(self, rng: np.random.Generator, example: Example) -> Example:
        """Scales an example and cuts a window out of it."""
        if self.sizing.stretches:
            return example
        target = self.sizing.target(example.label.shape)
        factor = rng.uniform(*self.scale)
        scaled = max(1, round(target[0] * factor)), max(1, round(target[1] * factor))
        seen = min(scaled[0], self.window[0]), min(scaled[1], self.window[1])
        corner = int(rng.integers(scaled[0] - seen[0] + 1)), int(rng.integers(scaled[1] - seen[1] + 1))
        angle = sample_angle(rng, self.rotation)
        window = cut_window(example, scaled, corner, seen, self.color, angle)
        return transforms.pad(window, self.window, self.color)

    def stored_size(self, size: Size) -> Size:
        """Returns the size in which an image of ``size`` is cached, large enough that scales need no enlarging.

        It is at most the image's own size, and at most twice the size at scale 1.
        """
        target = self.sizing.target(size)
        factor = min(max(1.0, self.scale[1]), 2.0)
        stored = math.ceil(target[0] * factor), math.ceil(target[1] * factor)
        return size if stored[0] >= size[0] or stored[1] >= size[1] else stored


def cut_window(
    example: Example, scaled: Size, corner: tuple[int, int], seen: Size, color: transforms.Color, angle: float = 0.0
) -> Example:
    """Resizes an example to ``scaled`` and cuts out the rows and columns ``seen`` from ``corner`` on.

    The window is rotated by ``angle`` degrees about its center. ``color`` fills what lies outside the image.
    """
    (top, left), (height, width) = corner, seen
    size = example.label.shape
    if scaled[0] > size[0] or scaled[1] > size[1]:  # Only the window is enlarged.
        step_y, step_x = size[0] / scaled[0], size[1] / scaled[1]
        box = left * step_x, top * step_y, (left + width) * step_x, (top + height) * step_y
        return transforms.crop(example, box, seen, color, angle)
    image, label = example.image, example.label
    if scaled != size:
        image = cv2.resize(image, scaled[::-1], interpolation=cv2.INTER_AREA)
        label = transforms.resize_label(label, scaled)
    if angle:
        box = float(left), float(top), float(left + width), float(top + height)
        return transforms.crop(Example(image, label), box, seen, color, angle)
    window = np.s_[top : top + height, left : left + width]
    return Example(np.ascontiguousarray(image[window]), np.ascontiguousarray(label[window]))

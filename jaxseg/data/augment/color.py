"""Changes of an image's colors: brightness, contrast, saturation and hue."""

import math
from typing import NamedTuple

import cv2
import ml_collections
import numpy as np

from jaxseg.data.augment.options import check_fraction, read_fields
from jaxseg.data.augment.plan import Plan
from jaxseg.types import Example, InstanceExample

# Weight of each channel in the brightness that a person sees (ITU-R BT.601). Contrast and saturation keep this gray.
LUMA = np.array([0.299, 0.587, 0.114])


class Color(NamedTuple):
    """Random changes of brightness, contrast, saturation and hue.

    Attributes:
      brightness: largest relative change; the factor is uniform in 1 - x to 1 + x.
      contrast: the same for the distance to the image's mean gray.
      saturation: the same for the distance to each pixel's own gray.
      hue: largest change in turns of the color circle, uniform in -x to x.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    @classmethod
    def from_config(cls, data_config: ml_collections.ConfigDict) -> "Color":
        """Reads and checks the options.

        Raises:
          ValueError: one of them is not in 0..1.
        """
        options = cls(**read_fields(cls, data_config))
        for field, value in options._asdict().items():
            check_fraction(field, value)
        return options

    def apply(self, rng: np.random.Generator, example: Example) -> Example:
        """Changes the colors of an image; its label map stays."""
        return Example(random_color(rng, example.image, self), example.label)

    def apply_to_instances(
        self, rng: np.random.Generator, example: InstanceExample, draw_other: object
    ) -> InstanceExample:
        """Changes the colors of an image; its objects stay."""
        del draw_other
        return example._replace(image=random_color(rng, example.image, self))

    def plan(self, rng: np.random.Generator, plan: Plan) -> Plan:
        """Plans the change, for the device."""
        linear, of_gray = color_map(*self.sample(rng))
        return plan._replace(colors=np.column_stack([linear, np.outer(of_gray, LUMA)]).astype(np.float32))

    def sample(self, rng: np.random.Generator) -> tuple[float, float, float, float]:
        """Samples the changes of brightness, contrast, saturation and hue; draws nothing if all are disabled."""
        return tuple(rng.uniform(-limit, limit) if any(self) else 0.0 for limit in self)


def random_color(rng: np.random.Generator, image: np.ndarray, largest: Color) -> np.ndarray:
    """Changes the four properties of an image ``[h, w, 3]`` by random amounts."""
    return change_color(image, *largest.sample(rng))


def change_color(image: np.ndarray, brightness: float, contrast: float, saturation: float, hue: float) -> np.ndarray:
    """Changes the colors of an image ``[h, w, 3]``; 0 changes nothing.

    All four are linear maps of colors, so they are applied as one matrix and rounded once. Brightness scales colors.
    Contrast scales the distance to the image's mean gray, and saturation the distance to each pixel's own gray. The hue
    turns about the gray axis.

    Args:
      image: uint8.
      brightness: relative change, such as 0.2 for a fifth brighter.
      contrast: relative change.
      saturation: relative change; -1 gives a gray image.
      hue: change in turns of the color circle.

    Example:
      >>> change_color(np.full((1, 1, 3), 100, np.uint8), 0.2, 0, 0, 0).tolist()
      [[[120, 120, 120]]]
    """
    if brightness == contrast == saturation == hue == 0:
        return image
    linear, of_gray = color_map(brightness, contrast, saturation, hue)
    return cv2.transform(image, np.column_stack([linear, of_gray * (LUMA @ cv2.mean(image)[:3])]))


def color_map(brightness: float, contrast: float, saturation: float, hue: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the linear map ``[3, 3]`` of colors, and the share ``[3]`` of the image's mean gray that is added."""
    light, stretch = 1 + brightness, 1 + contrast
    linear = light * stretch * _hue_rotation(hue) @ _saturation(1 + saturation)
    return linear, np.full(3, light * (1 - stretch))


def _saturation(factor: float) -> np.ndarray:
    """Returns the matrix that scales each color's distance to its gray."""
    return factor * np.eye(3) + (1 - factor) * np.tile(LUMA, (3, 1))


def _hue_rotation(turns: float) -> np.ndarray:
    """Returns the rotation by an angle about the axis (1, 1, 1) / sqrt 3, by Rodrigues' formula."""
    cosine, sine = math.cos(2 * math.pi * turns), math.sin(2 * math.pi * turns) / math.sqrt(3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    return cosine * np.eye(3) + sine * cross + (1 - cosine) / 3 * np.ones((3, 3))

"""Changes of an image's colors: brightness, contrast, saturation and hue."""

import math
from typing import Protocol

import cv2
import numpy as np

# How much of each channel a person sees as brightness (ITU-R BT.601), for the gray that contrast and saturation keep.
LUMA = np.array([0.299, 0.587, 0.114])


class LargestChanges(Protocol):
    """What ``config.data.augment`` says of colors: three relative changes, and the hue's in turns."""

    brightness: float
    contrast: float
    saturation: float
    hue: float


def random_color(rng: np.random.Generator, image: np.ndarray, largest: LargestChanges) -> np.ndarray:
    """Changes each property of ``[h, w, 3]`` by a factor from 1 - x to 1 + x, and the hue by -x to x turns.

    The four are linear maps of colors, so they are applied as one matrix and rounded once: brightness scales,
    contrast scales the distance to the image's mean gray, saturation that to each pixel's own gray, and the hue turns
    about the gray axis.
    """
    limits = largest.brightness, largest.contrast, largest.saturation, largest.hue
    return change_color(image, *(rng.uniform(-limit, limit) for limit in limits))


def change_color(image: np.ndarray, brightness: float, contrast: float, saturation: float, hue: float) -> np.ndarray:
    """What ``random_color`` does with the changes drawn: three relative ones and one in turns; 0 changes nothing."""
    if brightness == contrast == saturation == hue == 0:
        return image
    light, stretch = 1 + brightness, 1 + contrast
    linear = light * stretch * _hue_rotation(hue) @ _saturation(1 + saturation)
    offset = light * (1 - stretch) * (LUMA @ cv2.mean(image)[:3])
    return cv2.transform(image, np.column_stack([linear, np.full(3, offset)]))


def _saturation(factor: float) -> np.ndarray:
    return factor * np.eye(3) + (1 - factor) * np.tile(LUMA, (3, 1))


def _hue_rotation(turns: float) -> np.ndarray:
    """Rotation by an angle about the axis (1, 1, 1) / sqrt 3, after Rodrigues."""
    cosine, sine = math.cos(2 * math.pi * turns), math.sin(2 * math.pi * turns) / math.sqrt(3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    return cosine * np.eye(3) + sine * cross + (1 - cosine) / 3 * np.ones((3, 3))

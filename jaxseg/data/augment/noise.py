"""Gaussian noise, from a generator that gives the same bits on the host and on devices.

The noise of a pixel is a function of a key and of the number of the pixel. The host sends a key per image. Sending the
noise itself would take more bytes than the image.
"""

import math
from types import ModuleType
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from jaxseg.data.augment.options import check_fraction, read_fields
from jaxseg.data.augment.plan import Plan
from jaxseg.types import Example, InstanceExample


class Noise(NamedTuple):
    """Gaussian noise, independent for each channel of each pixel, with a random standard deviation.

    Attributes:
      noise: largest standard deviation as a share of 255, uniform in 0 to x.
    """

    noise: float = 0.0

    @classmethod
    def from_config(cls, data_config: ml_collections.ConfigDict) -> "Noise":
        """Reads and checks the option.

        Raises:
          ValueError: it is not in 0..1.
        """
        options = cls(**read_fields(cls, data_config))
        check_fraction("noise", options.noise)
        return options

    def apply(self, rng: np.random.Generator, example: Example) -> Example:
        """Adds noise to an image; its label map stays."""
        return example._replace(image=add_noise(example.image, *self.sample(rng))) if self.noise else example

    def apply_to_instances(
        self, rng: np.random.Generator, example: InstanceExample, draw_other: object
    ) -> InstanceExample:
        """Adds noise to an image; its objects stay."""
        del draw_other
        return example._replace(image=add_noise(example.image, *self.sample(rng))) if self.noise else example

    def plan(self, rng: np.random.Generator, plan: Plan) -> Plan:
        """Plans the noise, for the device."""
        key, std = self.sample(rng)
        return plan._replace(noise_key=key, noise_std=std)

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.float32]:
        """Samples the key of the noise, uint32 ``[2]``, and its standard deviation in gray levels."""
        return rng.integers(1 << 32, size=2, dtype=np.uint32), np.float32(rng.uniform(0.0, 255 * self.noise))


def add_noise(image: np.ndarray, key: np.ndarray, std: np.float32) -> np.ndarray:
    """Adds noise to an image ``[h, w, 3]``, uint8, and rounds once."""
    noisy = image + std * standard_normal(np, key, image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def standard_normal(xp: ModuleType, key: Any, shape: tuple[int, ...]) -> Any:
    """Computes standard normal numbers, float32, as a function of a key and of their place.

    Each is made of 32 random bits by the formula of Box and Muller: 16 bits are a radius of up to 4.9 standard
    deviations, and 16 an angle. The bits are equal for all ``xp``; logarithm and cosine may differ by rounding.

    Args:
      xp: numpy, or jax.numpy for arrays on a device.
      key: uint32 ``[2]``.
      shape: of the result.

    Example:
      >>> standard_normal(np, np.array([1, 2], np.uint32), (2, 2)).shape
      (2, 2)
    """
    bits = random_bits(xp, key, shape)
    half = xp.float32(1 / (1 << 16))
    share = ((bits >> 16).astype(xp.float32) + xp.float32(0.5)) * half
    angle = (bits & xp.uint32(0xFFFF)).astype(xp.float32) * (half * xp.float32(2 * math.pi))
    return xp.sqrt(xp.float32(-2.0) * xp.log(share)) * xp.cos(angle)


def random_bits(xp: ModuleType, key: Any, shape: tuple[int, ...]) -> Any:
    """Returns random bits, uint32 of ``shape``: the key and the number of each place, mixed twice."""
    number = xp.zeros((1,) * len(shape), xp.uint32)
    for axis, side in enumerate(shape):
        along = [1] * len(shape)
        along[axis] = side
        number = number * xp.uint32(side) + xp.arange(side, dtype=xp.uint32).reshape(along)
    return _mix(xp, _mix(xp, number + key[0]) ^ key[1])


def _mix(xp: ModuleType, bits: Any) -> Any:
    """Mixes the bits of each number, one to one: the last step of MurmurHash3 (Appleby 2011)."""
    bits = (bits ^ (bits >> 16)) * xp.uint32(0x85EBCA6B)
    bits = (bits ^ (bits >> 13)) * xp.uint32(0xC2B2AE35)
    return bits ^ (bits >> 16)

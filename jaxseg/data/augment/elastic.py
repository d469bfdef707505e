"""Elastic deformation, the augmentation of the U-Net paper (Ronneberger et al. 2015, section 3.1)."""

import cv2
import numpy as np

from jaxseg.types import Example

GRID = (3, 3)  # vectors, over the whole image


def random_elastic(rng: np.random.Generator, example: Example, std: float) -> Example:
    """Shifts every pixel a little, and neighbors alike.

    The shifts are drawn at the centers of a 3x3 division of the image, Gaussian in x and in y, and interpolated in
    between by cubic convolution. Beyond its edges the image goes on as its mirror.

    Args:
      rng: the source of chance.
      example: image and label.
      std: standard deviation of the shifts, in pixels.
    """
    shifts = rng.normal(0.0, std, (*GRID, 2)).astype(np.float32)
    return deform(example, displacements(shifts, example.label.shape))


def displacements(shifts: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A coarse grid of vectors ``[n, n, 2]`` as one (x, y) a pixel: float32 ``[*size, 2]``."""
    return cv2.resize(shifts, size[::-1], interpolation=cv2.INTER_CUBIC)


def deform(example: Example, shifts: np.ndarray) -> Example:
    """Each pixel takes what lies at its place plus its shift ``[h, w, 2]``: bilinear; for the label, nearest."""
    height, width = example.label.shape
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    places = shifts + np.stack(np.meshgrid(x, y), axis=-1)
    return Example(
        cv2.remap(example.image, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101),
        cv2.remap(example.label, places, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101),
    )

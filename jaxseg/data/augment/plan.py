"""The augmentations of one image as numbers, which ``jaxseg.ops.augmentation`` applies on the device."""

from typing import NamedTuple

import numpy as np

from jaxseg.data.resize import Size


class Plan(NamedTuple):
    """What the augmentations of one image do.

    Attributes:
      rows: float32 ``[h]``, the position in the stored image that each row of the result shows. Pixel centers have
        whole numbers.
      columns: float32 ``[w]``, the same for columns.
      padded: whether what lies outside the image is filled; otherwise its edges are repeated.
      colors: float32 ``[3, 6]``, a linear map of a pixel's three values and of the image's three means; None leaves
        colors as they are.
    """

    rows: np.ndarray
    columns: np.ndarray
    padded: bool = False
    colors: np.ndarray | None = None


def whole_image(size: Size) -> Plan:
    """Returns the plan that leaves an image of ``size`` (height, width) as it is.

    >>> whole_image((2, 3)).columns.tolist()
    [0.0, 1.0, 2.0]
    """
    return Plan(*(np.arange(side, dtype=np.float32) for side in size))

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
      shift_y: float32 ``[w]``, added to ``rows`` in each column; None without rotation.
      shift_x: float32 ``[h]``, added to ``columns`` in each row; None without rotation.
      blur: float32 ``[r + 1]``, the weights of a pixel and of its neighbors at the distances 1 to r along rows, and
        then along columns; None without blur.
      noise_key: uint32 ``[2]``, the key of the noise; None without noise.
      noise_std: its standard deviation in gray levels, float32; None without noise.
    """

    rows: np.ndarray
    columns: np.ndarray
    padded: bool = False
    colors: np.ndarray | None = None
    shift_y: np.ndarray | None = None
    shift_x: np.ndarray | None = None
    blur: np.ndarray | None = None
    noise_key: np.ndarray | None = None
    noise_std: np.float32 | None = None

    def flip(self) -> "Plan":
        """Exchanges left and right."""
        return self._replace(columns=self.columns[::-1], shift_y=_reversed(self.shift_y))

    def flip_vertical(self) -> "Plan":
        """Exchanges top and bottom."""
        return self._replace(rows=self.rows[::-1], shift_x=_reversed(self.shift_x))


def whole_image(size: Size) -> Plan:
    """Returns the plan that leaves an image of ``size`` (height, width) as it is.

    >>> whole_image((2, 3)).columns.tolist()
    [0.0, 1.0, 2.0]
    """
    return Plan(*(np.arange(side, dtype=np.float32) for side in size))


def _reversed(shift: np.ndarray | None) -> np.ndarray | None:
    return None if shift is None else shift[::-1]

"""How semantic models see an image: stretched to one size, or at its own aspect ratio."""

from typing import NamedTuple

import ml_collections
import numpy as np

from jaxseg.data.resize import Size, resize_label_map, resize_photo
from jaxseg.data.semantic.transforms import image_size, resize_image, resize_label

RESIZES = ("stretch", "short_side", "long_side", "none")
SCORED = ("network", "original")


class Sizing(NamedTuple):
    """The size at which a model sees an image.

    Attributes:
      resize: "stretch" brings every image to ``size``; "short_side" and "long_side" bring one side to that of ``size``
        and keep the aspect ratio; "none" leaves the image as it is.
      size: (height, width), ``config.data.image_size``.
      max_size: upper limit of the longer side under "short_side".
    """

    resize: str
    size: Size
    max_size: int

    @property
    def stretches(self) -> bool:
        """Returns whether all images get one size."""
        return self.resize == "stretch"

    def target(self, size: Size) -> Size:
        """Returns the size at which an image of ``size`` (height, width) is seen.

        >>> Sizing("short_side", (520, 520), 1333).target((375, 500))
        (520, 693)
        >>> Sizing("short_side", (520, 520), 1333).target((100, 500))
        (266, 1333)
        >>> Sizing("long_side", (384, 512), 1333).target((375, 500))
        (384, 512)
        """
        if self.resize == "none":
            return size
        if self.stretches:
            return self.size
        short, long = sorted(size)
        if self.resize == "short_side":
            side = min(self.size)
            sides = side, int(side * long / short)
        if self.resize == "long_side" or sides[1] > self.max_size:
            side = max(self.size) if self.resize == "long_side" else self.max_size
            sides = max(1, int(side * short / long)), side
        return sides if size[0] <= size[1] else sides[::-1]

    def resize_image(self, image: np.ndarray, size: Size) -> np.ndarray:
        """Resizes an image ``[h, w, 3]``; a smaller size averages pixels, unless images are stretched."""
        return resize_image(image, size) if self.stretches else resize_photo(image, size)

    def resize_label(self, label: np.ndarray, size: Size) -> np.ndarray:
        """Resizes a label map ``[h, w]`` by its nearest pixels."""
        return resize_label(label, size) if self.stretches else resize_label_map(label, size)


def read_sizing(data_config: ml_collections.ConfigDict) -> Sizing:
    """Reads and checks ``config.data.resize``.

    Raises:
      ValueError: it is unknown, or a size is not positive.
    """
    resize, longest = data_config.resize, data_config.max_size
    if resize not in RESIZES:
        raise ValueError(f"config.data.resize is {resize!r}; expected one of {', '.join(RESIZES)}.")
    size = image_size(data_config)
    if resize == "short_side" and longest < min(size):
        raise ValueError(
            f"config.data.max_size is {longest}; expected at least {min(size)}, the shorter side of "
            "config.data.image_size."
        )
    return Sizing(resize, size, longest)


def scores_original(data_config: ml_collections.ConfigDict) -> bool:
    """Returns whether predictions are resized to the original label maps to be scored.

    Raises:
      ValueError: ``config.data.score_at`` is unknown.
    """
    score_at = data_config.score_at
    if score_at not in SCORED:
        raise ValueError(f"config.data.score_at is {score_at!r}; expected one of {', '.join(SCORED)}.")
    return score_at == "original" and read_sizing(data_config).resize != "none"

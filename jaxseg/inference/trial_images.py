"""A few images on which an exported model is compared with its run."""

import cv2
import ml_collections
import numpy as np

from jaxseg.data.sources import open_source
from jaxseg.data.sources.shapes import draw_shapes

COUNT = 10


def trial_images(
    data_config: ml_collections.ConfigDict, size: tuple[int, int] | None = None
) -> tuple[list[np.ndarray], str]:
    """Returns ten images and where they come from: the validation split, or generated shapes without its files.

    Args:
      data_config: ``config.data``.
      size: height and width that all images must have; None keeps their own.
    """
    try:
        records = open_source(data_config, data_config.val or data_config.test or data_config.train).records
        images = [records[index].image for index in range(min(COUNT, len(records)))]
        origin = f"images of {data_config.name}"
    except (ValueError, OSError):  # the data of the run is on another machine
        images = [draw_shapes(np.random.default_rng(number))[0] for number in range(COUNT)]
        origin = "generated images"
    if size is not None:
        images = [cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA) for image in images]
    return images, origin

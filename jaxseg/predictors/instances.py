"""Photographs to instances: boxes, names, scores and masks."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxseg import pictures
from jaxseg.data import rle
from jaxseg.data.coco_classes import distinct_colors
from jaxseg.data.detection_transforms import batch_images, bucket_of, buckets, resized_size, rounded_up
from jaxseg.models.mask_rcnn import Instances, in_original_pixels, pasted_masks
from jaxseg.predictors.prediction import Prediction

SHOWN_SCORE = 0.5  # what scores less stands in the results but is not drawn


def make_predictor(
    config: Any, class_names: tuple[str, ...], palette: np.ndarray, predict: Callable[..., Instances]
) -> Callable[[np.ndarray], Prediction]:
    """What turns a photograph, uint8 ``[h, w, 3]`` of any size, into a ``Prediction``.

    Photographs of all sizes share few programs: the detector is compiled once for each of the four sizes that images
    are padded to (``buckets``), and the pasting of masks once for each pair of powers of two that holds a photograph.

    Args:
      config: says how images are resized.
      class_names: one an output of the detector; number 0 is the background.
      palette: not used: instances are coloured one by one.
      predict: ``(image, sizes, extents) -> Instances``, see ``models.mask_rcnn.MaskRCNN``.
    """
    del palette
    data = config.data
    padded_sizes = buckets(data.min_size, data.max_size)
    paste = jax.jit(pasted_masks, static_argnums=1)

    def predictor(image: np.ndarray) -> Prediction:
        resized = rounded_up(resized_size(image.shape[:2], data.min_size, data.max_size))
        bucket = bucket_of(resized, padded_sizes)
        batch = batch_images([image], data.min_size, data.max_size, bucket, data.mean, data.std)
        instances = predict(batch.image, batch.sizes, batch.extents)
        instances = in_original_pixels(instances, batch.sizes, batch.original_sizes)
        canvas = tuple(1 << int(side - 1).bit_length() for side in image.shape[:2])
        masks = paste(instances, canvas)[:, :, : image.shape[0], : image.shape[1]]
        used = np.asarray(instances.valid[0])
        found, masks = jax.tree.map(lambda array: np.asarray(array[0])[used], (instances, masks))
        return _describe(image, found, masks, class_names)

    return predictor


def _describe(image: np.ndarray, found: Instances, masks: np.ndarray, class_names: tuple[str, ...]) -> Prediction:
    """The found objects of one image, best first, with masks bool ``[d, h, w]``, as people and programs want them."""
    shown = found.scores >= SHOWN_SCORE
    titles = [
        f"{class_names[number]} {score:.2f}"
        for number, score in zip(found.classes[shown], found.scores[shown], strict=True)
    ]
    colors = distinct_colors(len(titles))
    results = [
        {
            "category_id": int(number),
            "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
            "score": float(score),
            "segmentation": code,
        }
        for number, (x1, y1, x2, y2), score, code in zip(
            found.classes, found.boxes, found.scores, rle.encode(masks), strict=True
        )
    ]
    return Prediction(
        mask=_numbered(masks[shown]),
        palette=np.concatenate([np.zeros((1, 3), np.uint8), colors]),
        overlay=pictures.instances(image, masks[shown], found.boxes[shown], titles, colors),
        results=results,
        summary=", ".join(titles) or "nothing found",
    )


def _numbered(masks: np.ndarray) -> np.ndarray:
    """uint8 ``[h, w]``: 0 where there is no object, else the number of the best one there, from 1."""
    numbers = np.arange(1, len(masks) + 1, dtype=np.uint8)[:, None, None] * masks
    first = np.where(numbers == 0, 255, numbers).min(axis=0, initial=255)
    return np.where(first == 255, 0, first)

"""Photographs to instances: boxes, names, scores and masks."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxseg import pictures
from jaxseg.data import rle
from jaxseg.data.coco_classes import distinct_colors
from jaxseg.data.detection_transforms import batch_images, bucket_of, buckets, resized_size, rounded_up
from jaxseg.models.mask_rcnn import Instances, in_original_pixels, pasted_masks
from jaxseg.predictors.prediction import Prediction
from jaxseg.types import Source

SHOWN_SCORE = 0.5  # what scores less stands in the results but is not drawn

Found = tuple[Instances, np.ndarray]  # of one image: the used slots alone, and their masks, bool ``[d, h, w]``


def make_predictor(
    config: Any,
    class_names: tuple[str, ...],
    palette: np.ndarray,
    predict: Callable[..., Instances],
    category_ids: Sequence[int],
) -> Callable[[np.ndarray], Prediction]:
    """What turns a photograph, uint8 ``[h, w, 3]`` of any size, into a ``Prediction``.

    Args:
      config: says how images are resized.
      class_names: one an output of the detector; number 0 is the background.
      palette: not used: instances are coloured one by one.
      predict: ``(image, sizes, extents) -> Instances``, see ``models.mask_rcnn.MaskRCNN``.
      category_ids: the numbers under which results have the classes.
    """
    del palette
    find = make_finder(config, predict)
    return lambda image: _describe(image, find(image), class_names, category_ids)


def make_finder(config: Any, predict: Callable[..., Instances]) -> Callable[[np.ndarray], Found]:
    """What finds the instances in a photograph, uint8 ``[h, w, 3]`` of any size, in its own pixels, best first.

    Photographs of all sizes share few programs: the detector is compiled once for each of the four sizes that images
    are padded to (``buckets``), and the pasting of masks once for each pair of powers of two that holds a photograph.
    """
    data = config.data
    padded_sizes = buckets(data.min_size, data.max_size)
    paste = jax.jit(pasted_masks, static_argnums=1)

    def find(image: np.ndarray) -> Found:
        resized = rounded_up(resized_size(image.shape[:2], data.min_size, data.max_size))
        bucket = bucket_of(resized, padded_sizes)
        batch = batch_images([image], data.min_size, data.max_size, bucket, data.mean, data.std)
        instances = predict(batch.image, batch.sizes, batch.extents)
        instances = in_original_pixels(instances, batch.sizes, batch.original_sizes)
        canvas = tuple(1 << int(side - 1).bit_length() for side in image.shape[:2])
        masks = paste(instances, canvas)[:, :, : image.shape[0], : image.shape[1]]
        used = np.asarray(instances.valid[0])
        return jax.tree.map(lambda array: np.asarray(array[0])[used], (instances, masks))

    return find


def draw_examples(config: Any, source: Source, predict: Callable[..., Instances], most: int = 4) -> np.ndarray:
    """The first few images of a split, a row each: image, objects, what was found; uint8 ``[h, w, 3]``.

    Args:
      config: the run's.
      source: the split.
      predict: as above.
      most: how many.
    """
    find = make_finder(config, predict)
    rows = []
    for record in map(source.records.__getitem__, range(min(most, len(source.records)))):
        objects = record.objects
        titles = [
            f"{source.class_names[number]}{' (crowd)' if crowd else ''}"
            for number, crowd in zip(objects.classes, objects.crowd, strict=True)
        ]
        truth = pictures.Shown(objects.masks.astype(bool), objects.boxes, titles, distinct_colors(len(titles)))
        rows.append((record.image, truth, _shown(*find(record.image), source.class_names)))
    return pictures.instance_rows(rows)


def _shown(found: Instances, masks: np.ndarray, class_names: tuple[str, ...]) -> pictures.Shown:
    """What people are shown of the found objects of one image."""
    shown = found.scores >= SHOWN_SCORE
    titles = [
        f"{class_names[number]} {score:.2f}"
        for number, score in zip(found.classes[shown], found.scores[shown], strict=True)
    ]
    return pictures.Shown(masks[shown], found.boxes[shown], titles, distinct_colors(len(titles)))


def _describe(
    image: np.ndarray, results: Found, class_names: tuple[str, ...], category_ids: Sequence[int]
) -> Prediction:
    """The found objects of one image as people and programs want them."""
    found, masks = results
    shown = _shown(found, masks, class_names)
    entries = [
        {
            "category_id": int(category_ids[number]),
            "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
            "score": float(score),
            "segmentation": code,
        }
        for number, (x1, y1, x2, y2), score, code in zip(
            found.classes, found.boxes, found.scores, rle.encode(masks), strict=True
        )
    ]
    return Prediction(
        mask=_numbered(shown.masks),
        palette=np.concatenate([np.zeros((1, 3), np.uint8), shown.colors]),
        overlay=pictures.instances(image, shown),
        results=entries,
        summary=", ".join(shown.titles) or "nothing found",
    )


def _numbered(masks: np.ndarray) -> np.ndarray:
    """uint8 ``[h, w]``: 0 where there is no object, else the number of the best one there, from 1."""
    numbers = np.arange(1, len(masks) + 1, dtype=np.uint8)[:, None, None] * masks
    first = np.where(numbers == 0, 255, numbers).min(axis=0, initial=255)
    return np.where(first == 255, 0, first)

"""Photographs to instances: boxes, names, scores and masks."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxseg.data.colors import distinct_colors
from jaxseg.data.resize import batch_images, bucket_of, buckets, resized_size, rounded_up
from jaxseg.inference.prediction import Prediction
from jaxseg.metrics.detections import paste_mask, to_coco_results
from jaxseg.models.mask_rcnn.detections import Instances, in_original_pixels
from jaxseg.reporting import pictures
from jaxseg.types import Source

SHOWN_SCORE = 0.5  # what scores less stands in the results but is not drawn
MOST_SHOWN = 255  # numbers that a pixel of a mask file can have, beside 0
ALIKE = 0.5  # an object and a found one are drawn in one color if their masks overlap by so much: intersection / union


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
      palette: not used: instances are colored one by one.
      predict: ``(image, sizes, extents) -> Instances``, see ``models.mask_rcnn.MaskRCNN``.
      category_ids: the numbers under which results have the classes.
    """
    del palette
    find = make_finder(config, predict)

    def predictor(image: np.ndarray) -> Prediction:
        found = find(image)
        shown = _shown(found, image.shape[:2], class_names)
        return Prediction(
            mask=_numbered(shown.masks, image.shape[:2]),
            palette=np.concatenate([np.zeros((1, 3), np.uint8), shown.colors]),
            overlay=pictures.instances(image, shown),
            results=to_coco_results(found, image.shape[:2], category_ids),
            summary=", ".join(shown.titles) or "nothing found",
        )

    return predictor


def make_finder(config: Any, predict: Callable[..., Instances]) -> Callable[[np.ndarray], Instances]:
    """What finds the instances in a photograph, uint8 ``[h, w, 3]`` of any size, in its own pixels, best first.

    Photographs of all sizes share few programs: the detector is compiled once for each of the four sizes that images
    are padded to (``buckets``). Masks are pasted one by one and on the host, since a hundred of them in the pixels of
    a large photograph fill a device's memory.
    """
    data = config.data
    padded_sizes = buckets(data.min_size, data.max_size)

    def find(image: np.ndarray) -> Instances:
        resized = rounded_up(resized_size(image.shape[:2], data.min_size, data.max_size))
        bucket = bucket_of(resized, padded_sizes)
        batch = batch_images([image], data.min_size, data.max_size, bucket, data.mean, data.std)
        instances = predict(batch.image, batch.sizes, batch.extents)
        instances = in_original_pixels(instances, batch.sizes, batch.original_sizes)
        return jax.tree.map(lambda array: np.asarray(array[0]), instances)

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
        truth = pictures.Annotations(list(objects.masks != 0), objects.boxes, titles, distinct_colors(len(titles)))
        found = _shown(find(record.image), record.image.shape[:2], source.class_names)
        rows.append((record.image, truth, found._replace(colors=_colors_like(truth, found))))
    return pictures.instance_rows(rows)


def _shown(found: Instances, size: tuple[int, int], class_names: tuple[str, ...]) -> pictures.Annotations:
    """What people are shown of the found objects of one image of ``size``."""
    best = np.flatnonzero(found.valid & (found.scores >= SHOWN_SCORE))[:MOST_SHOWN]
    masks = [paste_mask(found.masks[slot], found.boxes[slot], size) >= 0.5 for slot in best]
    titles = [f"{class_names[found.classes[slot]]} {found.scores[slot]:.2f}" for slot in best]
    return pictures.Annotations(masks, found.boxes[best], titles, distinct_colors(len(titles)))


def _colors_like(truth: pictures.Annotations, found: pictures.Annotations) -> np.ndarray:
    """A color for each found object, ``[d, 3]``: that of the object it is, where it is one, or else one of its own."""
    count = len(truth.titles)
    colors = distinct_colors(count + len(found.titles))
    owned, free = np.arange(count, len(colors)), set(range(count))
    for number, mask in enumerate(found.masks):
        overlaps = {i: _overlap(mask, truth.masks[i]) for i in free}
        best = max(overlaps, key=overlaps.get, default=None)
        if best is not None and overlaps[best] >= ALIKE:
            owned[number] = best
            free.remove(best)
    return colors[owned]


def _overlap(mask: np.ndarray, other: np.ndarray) -> float:
    return np.count_nonzero(mask & other) / max(np.count_nonzero(mask | other), 1)


def _numbered(masks: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """uint8 ``[h, w]``: 0 where there is no object, else the number of the best one there, from 1."""
    numbers = np.zeros(size, np.uint8)
    for number in range(len(masks), 0, -1):
        numbers[masks[number - 1]] = number
    return numbers

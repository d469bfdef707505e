"""Small images with drawn objects, for tests of what detectors learn from."""

import cv2
import numpy as np

from jaxseg.data.geometry import boxes_of_masks
from jaxseg.types import Catalogue, InstanceExample, Objects, Record, Source


def draw_example(rng, size, count, rectangles=False):
    """An image of noise with ellipses at any angle, or their boxes, within it; the last of several is a crowd."""
    masks = np.zeros((count, *size), np.uint8)
    for mask in masks:
        axes = rng.integers(3, min(size) // 3, 2)
        center = [rng.integers(max(axes), side - max(axes)) for side in size[::-1]]
        cv2.ellipse(mask, tuple(map(int, center)), tuple(map(int, axes)), rng.uniform(0, 180), 0, 360, 1, -1)
    if rectangles:
        for mask, (x1, y1, x2, y2) in zip(masks, boxes_of_masks(masks).astype(int), strict=True):
            mask[y1:y2, x1:x2] = 1
    crowd = np.arange(count) == count - 1 if count > 1 else np.zeros(count, bool)
    classes = rng.integers(1, 3, count).astype(np.int32)
    image = rng.integers(1, 256, (*size, 3), np.uint8)
    return InstanceExample(image, Objects(boxes_of_masks(masks), classes, masks, crowd))


def drawn_source(sizes, counts):
    """A source of such images, each of which has its number as the color of its first pixel."""
    records = []
    for number, (size, count) in enumerate(zip(sizes, counts, strict=True)):
        example = draw_example(np.random.default_rng(number), size, count)
        example.image[0, 0] = number
        records.append(Record(str(number), example.image, None, example.objects))
    counts = [np.count_nonzero(~record.objects.crowd) for record in records]
    catalogue = Catalogue(np.array(sizes, np.int32), np.array(counts, np.int32), range(len(sizes)), range(3))
    return Source(records, ("background", "a", "b"), np.zeros((3, 3), np.uint8), catalogue=catalogue)

"""Images of any size with any number of objects, packed into batches of fixed shapes."""

import numpy as np

from jaxseg.data.instances.transforms import select_objects
from jaxseg.data.resize import Size
from jaxseg.types import InstanceBatch, InstanceExample, Objects


def empty_batch(rows: int, padded: Size, max_objects: int) -> InstanceBatch:
    """Returns a batch of filler: black images without objects, none of them ``valid``."""
    sizes = np.tile(np.array(padded, np.int32), (rows, 1))
    return InstanceBatch(
        image=np.zeros((rows, *padded, 3), np.uint8),
        sizes=sizes,
        boxes=np.zeros((rows, max_objects, 4), np.float32),
        classes=np.zeros((rows, max_objects), np.int32),
        masks=np.zeros((rows, max_objects, padded[0], padded[1] // 8), np.uint8),
        usable=np.zeros((rows, max_objects), bool),
        original_sizes=sizes.copy(),
        index=np.full(rows, -1, np.int32),
        valid=np.zeros(rows, bool),
    )


def fill_row(batch: InstanceBatch, row: int, example: InstanceExample, index: int, original_size: Size) -> None:
    """Writes an image into a row of a batch, with as many of its objects as fit."""
    height, width = example.image.shape[:2]
    objects = foremost(example.objects, batch.boxes.shape[1])
    count = len(objects.classes)
    batch.image[row, :height, :width] = example.image
    batch.sizes[row] = height, width
    batch.boxes[row, :count] = objects.boxes
    batch.classes[row, :count] = objects.classes
    packed = np.packbits(objects.masks, axis=-1)
    batch.masks[row, :count, :height, : packed.shape[-1]] = packed
    batch.usable[row, :count] = ~objects.crowd
    batch.original_sizes[row] = original_size
    batch.index[row] = index
    batch.valid[row] = True


def foremost(objects: Objects, most: int) -> Objects:
    """Returns at most ``most`` objects in their order: crowd regions are left out first, then the smallest."""
    if len(objects.classes) <= most:
        return objects
    x1, y1, x2, y2 = objects.boxes.T
    size = np.where(objects.crowd, -1, (x2 - x1) * (y2 - y1))
    return select_objects(objects, np.sort(np.argsort(-size, kind="stable")[:most]))

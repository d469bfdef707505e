"""Batches of noise, of the shapes that a config's own batches have, with boxes and masks for detectors."""

from typing import Any

import numpy as np

from jaxseg.data.augment import read_pipeline
from jaxseg.data.augment.device import augments_on_device
from jaxseg.data.instances.catalogue import padded_sizes
from jaxseg.data.instances.packing import empty_batch, fill_row
from jaxseg.data.semantic.planned_batches import stack_planned
from jaxseg.data.semantic.transforms import crop_size
from jaxseg.types import IGNORE, AnyBatch, Batch, Example, InstanceBatch, InstanceExample, Objects

OBJECTS = 8  # objects per image, or max_objects if that is less; COCO has seven


def random_batch(config: Any, classes: int, size: tuple[int, int]) -> Batch | InstanceBatch:
    """Draws a batch ``[config.train.batch_size, *size, ...]`` for the config's task."""
    rng = np.random.default_rng(config.seed)
    return BATCHES[config.task](rng, config, classes, size)


def random_training_batch(config: Any, classes: int, size: tuple[int, int]) -> AnyBatch:
    """Draws a batch as the training step takes it: not augmented yet if the device does that."""
    if config.task == "instances" or not augments_on_device(config.data):
        return random_batch(config, classes, size)
    pipeline, rng = read_pipeline(config.data, "semantic"), np.random.default_rng(config.seed)
    stored = random_batch(config, classes, pipeline.options["crop"].stored_size())
    examples = [Example(*pixels) for pixels in zip(stored.image, stored.label, strict=True)]
    return stack_planned(examples, [pipeline.plan(rng, size) for _ in examples])


def image_sizes(config: Any, *, training: bool) -> tuple[tuple[int, int], ...]:
    """Returns the sizes that images of a batch can have, the largest first."""
    if config.task != "instances":
        return (crop_size(config.data) if training else tuple(config.data.image_size),)
    return tuple(sorted(padded_sizes(config.data, training=training), key=np.prod, reverse=True))


def random_boxes(rng: np.random.Generator, count: int, size: tuple[int, int]) -> np.ndarray:
    """Draws boxes in an image, float32 ``[count, 4]``, log-uniform with sides from a fiftieth to half of its own."""
    height, width = size
    extent = np.array([width, height], np.float32)
    sides = extent * np.exp(rng.uniform(np.log(0.02), np.log(0.5), (count, 2)))
    corners = rng.random((count, 2)) * (extent - sides)
    return np.concatenate([corners, corners + sides], axis=1).astype(np.float32)


def _semantic(rng: np.random.Generator, config: Any, classes: int, size: tuple[int, int]) -> Batch:
    if classes > IGNORE:
        raise ValueError(f"--classes is {classes}; expected at most {IGNORE}, since a label map has bytes")
    rows = config.train.batch_size
    weight = rng.uniform(1, 2, (rows, *size)).astype(np.float32) if config.data.border_weight else None
    return Batch(
        image=_noise(rng, (rows, *size, 3)),
        label=rng.integers(0, classes, (rows, *size), np.uint8),
        valid=np.ones(rows, bool),
        weight=weight,
    )


def _instances(rng: np.random.Generator, config: Any, classes: int, size: tuple[int, int]) -> InstanceBatch:
    rows, most = config.train.batch_size, config.data.max_objects
    batch = empty_batch(rows, size, most)
    for row in range(rows):
        objects = _random_objects(rng, min(most, OBJECTS), classes, size)
        fill_row(batch, row, InstanceExample(_noise(rng, (*size, 3)), objects), row, size)
    return batch


def _random_objects(rng: np.random.Generator, count: int, classes: int, size: tuple[int, int]) -> Objects:
    """Ellipses, each filling its box."""
    boxes = random_boxes(rng, count, size)
    y, x = np.arange(size[0])[None, :, None] + 0.5, np.arange(size[1])[None, None] + 0.5
    x1, y1, x2, y2 = (column[:, None, None] for column in boxes.T)
    inside = ((2 * x - x1 - x2) / (x2 - x1)) ** 2 + ((2 * y - y1 - y2) / (y2 - y1)) ** 2 <= 1
    classes = rng.integers(1, classes, count, np.int32)
    return Objects(boxes, classes, inside.astype(np.uint8), np.zeros(count, bool))


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(1, 256, shape, np.uint8)


BATCHES = {"semantic": _semantic, "instances": _instances}

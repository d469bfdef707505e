"""Detectors: from an image of any size to boxes, classes, scores and masks in its own pixels."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxseg.data.colors import distinct_colors
from jaxseg.data.resize import DetectorImages, batch_images, bucket_of, buckets, resized_size, rounded_up
from jaxseg.inference import tiles
from jaxseg.inference.engine import (
    Engine,
    Options,
    Prepared,
    TrainedModel,
    matmul_precision,
    place,
    stack,
    whole_variables,
)
from jaxseg.inference.instance_result import InstanceResult
from jaxseg.inference.merging import Found, merge_found, mirror
from jaxseg.models.mask_rcnn.detections import Instances
from jaxseg.parallel.cpu_compiler import prediction_options
from jaxseg.reporting import pictures
from jaxseg.types import Record, Source

SAME_OBJECT_IOU = 0.5  # Masks that overlap by this much are drawn in one color, as the same object.


def make_engine(trained: TrainedModel, options: Options) -> Engine:
    """Returns the three stages of a detector.

    An image is resized as in training and padded to one of four sizes, so that images of all sizes share four programs.
    Masks stay small until a result is asked for them, since large ones would fill a device's memory.
    """
    if options.confidence or options.probabilities:
        raise ValueError("confidence and probabilities are for semantic models; detections have a score each")
    engine = find_engine(trained, options)
    if options.tile:
        engine = tiles.find_in_tiles(engine, options, trained.model.detection.nms_iou)

    def finish(prepared: Prepared, waiting: Any) -> InstanceResult:
        found = engine.finish(prepared, waiting)
        ids = trained.class_names, trained.category_ids
        return InstanceResult(prepared.image, found.boxes, found.scores, found.classes, found.masks, *ids)

    return engine._replace(finish=finish)


def find_engine(trained: TrainedModel, options: Options) -> Engine:
    """Returns an engine with results of the type ``Found``."""
    data, detection = trained.config.data, trained.model.detection
    views = [(scale, flip) for scale in options.scales for flip in ((False, True) if options.flips else (False,))]
    predict = compile_detector(trained)

    def prepare(image: np.ndarray) -> Prepared:
        seen = [resize_view(data, image[:, ::-1] if flip else image, scale) for scale, flip in views]
        inputs = tuple(array[0] for view in seen for array in view[:3])
        return Prepared(image, inputs, tuple(view.image.shape for view in seen))

    def compute(prepared: Sequence[Prepared]) -> list[Any]:
        arrays = place(trained.mesh, stack(prepared, options.batch))
        outputs = [predict(trained.variables, *arrays[first : first + 3]) for first in range(0, len(arrays), 3)]
        return [(outputs, number) for number in range(len(prepared))]

    def finish(prepared: Prepared, waiting: Any) -> Found:
        outputs, number = waiting
        size = prepared.image.shape[:2]
        parts = []
        for view, ((_, flip), instances) in enumerate(zip(views, outputs, strict=True)):
            found = to_host(instances, number, prepared.inputs[3 * view + 1], size)
            parts.append(mirror(found, size[1]) if flip else found)
        return parts[0] if len(parts) == 1 else merge_found(parts, detection.nms_iou, detection.max_detections)

    return Engine(prepare, compute, finish)


def compile_detector(trained: TrainedModel) -> Callable[..., Instances]:
    """Returns the compiled ``(variables, image, sizes, extents) -> Instances`` of a detector."""

    def predict(variables: dict, *inputs: jax.Array) -> Instances:
        with matmul_precision(trained.config):
            return trained.model.apply(whole_variables(trained.mesh, variables), *inputs)

    return jax.jit(predict, compiler_options=prediction_options(trained.mesh))


def resize_view(data: Any, image: np.ndarray, scale: float) -> DetectorImages:
    """Returns an image as a batch of one, resized as ``config.data`` says times ``scale``, padded to a bucket."""
    limits = (data.min_size, data.max_size) if scale == 1 else (data.min_size * scale, data.max_size * scale)
    resized = rounded_up(resized_size(image.shape[:2], *limits))
    bucket = bucket_of(resized, buckets(*(int(np.ceil(limit)) for limit in limits)))
    return batch_images([image], *limits, bucket, data.mean, data.std)


def to_host(instances: Instances, number: int, resized: np.ndarray, size: Sequence[int]) -> Found:
    """Waits for the detections in one image of a batch and returns them in the image's own pixels.

    Args:
      instances: those of the batch, in the pixels of the resized images.
      number: which image of the batch.
      resized: int32 ``[2]``, height and width of the resized image.
      size: height and width of the image.
    """
    boxes, scores, classes, valid, masks = (np.asarray(array)[number] for array in instances)
    ratios = np.asarray(size, np.float32) / resized.astype(np.float32)
    boxes = boxes * ratios[[1, 0, 1, 0]]
    return Found(*(array[valid] for array in (boxes, scores, classes, masks)))


def draw_examples(config: Any, source: Source, predict: Callable[..., Instances], most: int = 4) -> np.ndarray:
    """Draws the first images of a split, a row each: image, objects, detections; uint8 ``[h, w, 3]``.

    Args:
      config: the run's.
      source: the split.
      predict: ``(image, sizes, extents) -> Instances``, see ``models.mask_rcnn.MaskRCNN``.
      most: the largest number of images.
    """
    indices = range(min(most, len(source.records)))
    return pictures.instance_rows([_predicted(config, source, predict, index) for index in indices])


def example_panels(
    config: Any, source: Source, predict: Callable[..., Instances], indices: Sequence[int]
) -> list[tuple[np.ndarray, ...]]:
    """Returns the panels of some images of a split: image, truth, prediction and difference, see ``pictures``.

    Args:
      config: the run's.
      source: the split.
      predict: ``(image, sizes, extents) -> Instances``, see ``models.mask_rcnn.MaskRCNN``.
      indices: the images.
    """
    return [pictures.instance_panels(*_predicted(config, source, predict, index)) for index in indices]


def draw_panels(source: Source, record: Record, result: InstanceResult) -> tuple[np.ndarray, ...]:
    """Returns the panels of a predicted image: image, objects, detections and difference, see ``pictures``."""
    return pictures.instance_panels(record.image, *_compared(source, record, result))


def _predicted(
    config: Any, source: Source, predict: Callable[..., Instances], index: int
) -> tuple[np.ndarray, pictures.Annotations, pictures.Annotations]:
    """Returns an image, its objects and what was found."""
    record = source.records[index]
    seen = resize_view(config.data, record.image, 1)
    found = to_host(predict(*seen[:3]), 0, seen.sizes[0], record.image.shape[:2])
    result = InstanceResult(record.image, *found[:2], found.classes, found.masks, source.class_names)
    return record.image, *_compared(source, record, result)


def _compared(
    source: Source, record: Record, result: InstanceResult
) -> tuple[pictures.Annotations, pictures.Annotations]:
    """Returns the objects of an image and what was found; a found object has the color of the one that it is."""
    objects = record.objects
    titles = [
        f"{source.class_names[number]}{' (crowd)' if crowd else ''}"
        for number, crowd in zip(objects.classes, objects.crowd, strict=True)
    ]
    truth = pictures.Annotations(
        list(objects.masks != 0), objects.boxes, titles, distinct_colors(len(titles)), objects.classes
    )
    shown = result.annotations()
    return truth, shown._replace(colors=_colors_like(truth, shown))


def _colors_like(truth: pictures.Annotations, found: pictures.Annotations) -> np.ndarray:
    """Returns a color per found object, ``[d, 3]``: that of the annotated object that it is, else one of its own."""
    count = len(truth.titles)
    colors = distinct_colors(count + len(found.titles))
    owned, free = np.arange(count, len(colors)), set(range(count))
    for number, mask in enumerate(found.masks):
        overlaps = {i: _overlap(mask, truth.masks[i]) for i in free}
        best = max(overlaps, key=overlaps.get, default=None)
        if best is not None and overlaps[best] >= SAME_OBJECT_IOU:
            owned[number] = best
            free.remove(best)
    return colors[owned]


def _overlap(mask: np.ndarray, other: np.ndarray) -> float:
    return np.count_nonzero(mask & other) / max(np.count_nonzero(mask | other), 1)

"""Semantic models: from an image of any size to a class per pixel."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxseg.data.selection import select_images
from jaxseg.data.semantic.batches import eval_batches
from jaxseg.data.semantic.sizing import read_sizing
from jaxseg.data.semantic.transforms import image_size, resize_image
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
from jaxseg.inference.ensemble import Ensemble
from jaxseg.inference.flips import average_views
from jaxseg.inference.semantic_result import SemanticResult
from jaxseg.inference.upsampling import Pixels, bucket_side, join_strips, to_original_pixels
from jaxseg.models.table import DTYPES
from jaxseg.models.unet import UNet
from jaxseg.ops.images import normalize
from jaxseg.ops.padding import valid_mask, zero_padding
from jaxseg.parallel.cpu_compiler import prediction_options
from jaxseg.reporting import pictures
from jaxseg.types import IGNORE, Record, Source

MOST_CLASSES = 256  # A label map is uint8.


def make_engine(trained: TrainedModel, options: Options) -> Engine:
    """Returns the three stages of a semantic model.

    The model sees the image as in training: stretched to one size, or at its own aspect ratio and padded. Its logits
    are resized to the image's own pixels on the device, and the class with the largest logit wins there.

    Raises:
      ValueError: the model has more classes than a label map can hold.
    """
    if len(trained.class_names) > MOST_CLASSES:
        raise ValueError(f"the model has {len(trained.class_names)} classes; expected at most {MOST_CLASSES}")
    forward = compile_forward(trained, options)
    result = partial(make_result, trained)
    if options.tile:
        return tiles.make_engine(trained, options, forward, result)
    data = trained.config.data
    kept = options.confidence, options.probabilities

    def prepare(image: np.ndarray) -> Prepared:
        inputs = see_whole(data, image) if data.resize == "stretch" else see_padded(data, image)
        return Prepared(image, inputs, inputs[0].shape)

    def compute(prepared: Sequence[Prepared]) -> list[Any]:
        logits = forward(trained.variables, *place(trained.mesh, stack(prepared, options.batch)))
        strips = []
        for number, one in enumerate(prepared):
            seen = one.inputs[1] if len(one.inputs) > 1 else logits.shape[1:3]
            strips.append(to_original_pixels(logits, number, seen, one.image.shape[:2], *kept))
        return strips

    def finish(prepared: Prepared, strips: Any) -> SemanticResult:
        return result(prepared.image, join_strips(strips, prepared.image.shape[:2]))

    return Engine(prepare, compute, finish)


def see_whole(data: Any, image: np.ndarray) -> tuple[np.ndarray, ...]:
    """Returns an image stretched to ``config.data.image_size``."""
    return (resize_image(image, image_size(data)),)


def see_padded(data: Any, image: np.ndarray) -> tuple[np.ndarray, ...]:
    """Returns an image at its own aspect ratio as ``config.data.resize`` says, padded to a bucket, and its size."""
    sizing = read_sizing(data)
    size = sizing.target(image.shape[:2])
    padded = np.zeros((*map(bucket_side, size), 3), np.uint8)
    padded[: size[0], : size[1]] = sizing.resize_image(image, size)
    return padded, np.array(size, np.int32)


def compile_forward(trained: TrainedModel, options: Options) -> Callable[..., jax.Array]:
    """Returns the compiled ``(variables, uint8 [b, h, w, 3], sizes [b, 2]) -> logits [b, h, w, k]`` of a model.

    ``sizes`` says how much of each image counts: the rest is zero after the normalization. None: all of it.
    """
    config, model = trained.config, trained.model
    data = config.data

    def forward(variables: dict, image: jax.Array, sizes: jax.Array | None = None) -> jax.Array:
        """Returns class scores for the pixels of a batch."""
        variables = whole_variables(trained.mesh, variables)

        def logits(x: jax.Array, seen: jax.Array | None) -> jax.Array:
            extents = {} if seen is None or not takes_extents(model) else {"extents": seen}
            return extend_to(model.apply(variables, x, train=False, **extents)["logits"], x.shape[1:3])

        with matmul_precision(config):
            x = normalize(image, data.mean, data.std, data.scale, DTYPES[config.precision])
            x = zero_padding(x, valid_mask(sizes, x.shape[1:3], 1))
            return average_views(logits, options.flips, options.scales, model.coarsest_stride)(x, sizes)

    return jax.jit(forward, compiler_options=prediction_options(trained.mesh))


def takes_extents(model: nn.Module | Ensemble) -> bool:
    """Returns whether a model can be told the sizes of padded images, so that padding changes no logit."""
    if isinstance(model, Ensemble):
        model = model.member
    return not isinstance(model, UNet) or (model.padding == "same" and model.fit == "pad")


def extend_to(logits: jax.Array, size: Sequence[int]) -> jax.Array:
    """Repeats the border of logits ``[b, h, w, k]`` up to a size.

    A model of valid convolutions sees the border of an image without predicting it.
    """
    before = [(whole - part) // 2 for whole, part in zip(size, logits.shape[1:3], strict=True)]
    after = [whole - part - first for whole, part, first in zip(size, logits.shape[1:3], before, strict=True)]
    return jnp.pad(logits, ((0, 0), *zip(before, after, strict=True), (0, 0)), mode="edge")


def make_result(trained: TrainedModel, image: np.ndarray, pixels: Pixels) -> SemanticResult:
    """Returns the result of an image from what was computed for its pixels."""
    return SemanticResult(
        image,
        pixels.label,
        trained.class_names,
        trained.palette,
        trained.category_ids,
        confidence=pixels.confidence,
        probabilities=pixels.probabilities,
    )


def draw_examples(config: Any, source: Source, predict: Callable[[np.ndarray], Any], most: int = 4) -> np.ndarray:
    """Draws the first images of a split, a row each: image, truth, prediction; uint8 ``[h, w, 3]``.

    Args:
      config: the run's.
      source: the split.
      predict: uint8 ``[b, h, w, 3]``, and the sizes ``[b, 2]`` of padded images, to logits ``[b, h', w', k]``.
      most: the largest number of images.
    """
    examples = _predicted(config, source, predict, range(min(most, len(source.records))), most)
    images, labels, predictions = (_stack_padded(part) for part in zip(*examples, strict=True))
    return pictures.rows(images, labels, predictions, source.palette, source.class_names)


def example_panels(
    config: Any, source: Source, predict: Callable[[np.ndarray], Any], indices: Sequence[int], batch_size: int = 4
) -> list[tuple[np.ndarray, ...]]:
    """Returns the panels of some images of a split: image, truth, prediction and difference, see ``pictures``.

    Args:
      config: the run's.
      source: the split.
      predict: uint8 ``[b, h, w, 3]``, and the sizes of padded images, to logits ``[b, h', w', k]``.
      indices: the images.
      batch_size: images per prediction.
    """
    examples = _predicted(config, source, predict, indices, batch_size)
    return [_panels(*example, source.palette) for example in examples]


def draw_panels(source: Source, record: Record, result: SemanticResult) -> tuple[np.ndarray, ...]:
    """Returns the panels of a predicted image: image, truth, prediction and difference, see ``pictures``."""
    return _panels(record.image, record.label, result.mask, source.palette)


def _panels(*example: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(map(pictures.reduce_panel, pictures.label_panels(*example)))


def _predicted(
    config: Any, source: Source, predict: Callable[[np.ndarray], Any], indices: Sequence[int], batch_size: int
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Returns image, label map and predicted label map of some images, at the size of the evaluation."""
    chosen = select_images(source, list(indices))._replace(fingerprint="")  # not cached: the choice may never recur
    examples = {}
    with eval_batches(chosen, config.data, batch_size=batch_size) as batches:
        for batch in batches:
            given = (batch.image,) if batch.sizes is None else (batch.image, batch.sizes)
            labels = jax.device_get(predict(*given)).argmax(axis=-1)
            for row in np.flatnonzero(batch.valid):
                height, width = batch.image.shape[1:3] if batch.sizes is None else batch.sizes[row]
                arrays = (batch.image[row], batch.label[row], labels[row])
                examples[int(batch.index[row])] = tuple(array[:height, :width] for array in arrays)
    return [examples[number] for number in range(len(examples))]


def _stack_padded(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Stacks images or label maps, padded with white or ``IGNORE`` to the largest of them."""
    height, width = (max(array.shape[axis] for array in arrays) for axis in (0, 1))
    stacked = np.full((len(arrays), height, width, *arrays[0].shape[2:]), IGNORE, arrays[0].dtype)
    for row, array in zip(stacked, arrays, strict=True):
        row[: array.shape[0], : array.shape[1]] = array
    return stacked

"""Exports a trained model as one file that jax and numpy alone can run: weights, preprocessing and postprocessing.

The file is a zip archive. ``program.bin`` is a serialized ``jax.export`` program; ``model.json`` holds the classes, the
config, what goes in and comes out, and how far the export differs from the run. Ten lines run it:

    import zipfile
    import jax, numpy
    from PIL import Image

    archive = zipfile.ZipFile("model.jaxseg")
    program = jax.export.deserialize(bytearray(archive.read("program.bin")))
    image = numpy.asarray(Image.open("photo.jpg").convert("RGB"))
    outputs = program.call(image[None])
    print(outputs["label"].shape)
"""

import json
import pathlib
import zipfile
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

import jaxseg
from jaxseg.data.resize import buckets, resized_size, rounded_up
from jaxseg.data.semantic.transforms import image_size
from jaxseg.inference.engine import TrainedModel, matmul_precision
from jaxseg.inference.instance_result import InstanceResult
from jaxseg.inference.semantic import extend_to
from jaxseg.inference.semantic_result import SemanticResult
from jaxseg.models.table import DTYPES
from jaxseg.ops import bilinear
from jaxseg.ops.images import normalize
from jaxseg.ops.padding import padded_to_stride, valid_mask, zero_padding

PLATFORMS = ("cpu", "cuda", "tpu")
PROGRAM, DESCRIPTION = "program.bin", "model.json"
Outputs = dict[str, jax.Array]


class Program(Protocol):
    """What runs an exported model."""

    def call(self, images: np.ndarray) -> Any:
        """Takes uint8 ``[b, h, w, 3]`` and returns a dictionary of arrays, see ``OUTPUTS``."""


class Export(NamedTuple):
    """An exported model.

    Attributes:
      program: runs it.
      description: the content of ``model.json``.
    """

    program: Program
    description: dict[str, Any]


OUTPUTS = {
    "semantic": {"label": "uint8 [b, h, w], the class of each pixel"},
    "instances": {
        "boxes": "float32 [b, d, 4], x1 y1 x2 y2 in pixels of the image",
        "scores": "float32 [b, d]",
        "classes": "int32 [b, d], index into class_names",
        "valid": "bool [b, d], False in unused slots",
        "masks": "float32 [b, d, 28, 28], probabilities within each box",
    },
}


def export_model(trained: TrainedModel, size: tuple[int, int] | None = None) -> Export:
    """Exports a model for CPU, CUDA and TPU, with a symbolic batch size.

    Args:
      trained: the model.
      size: height and width of the images; None accepts any size.

    Raises:
      ValueError: the config resizes images in a way that the program cannot.
    """
    answer = make_function(trained, size)
    sides = "h, w" if size is None else f"{size[0]}, {size[1]}"
    (shape,) = (jax.export.symbolic_shape(f"b, {sides}, 3"),)
    image = jax.ShapeDtypeStruct(shape, jnp.uint8)
    program = jax.export.export(jax.jit(answer), platforms=PLATFORMS)(image)
    return Export(program, describe_export(trained, size))


def make_function(trained: TrainedModel, size: tuple[int, int] | None = None) -> Callable[[jax.Array], Outputs]:
    """Returns the function that an export computes: uint8 ``[b, h, w, 3]`` to the arrays of ``OUTPUTS``.

    Args:
      trained: the model.
      size: height and width of the images; None accepts any size.

    Raises:
      ValueError: the config resizes images in a way that the program cannot.
    """
    if getattr(trained.config.data, "resize", "stretch") != "stretch":
        raise ValueError(
            f"data.resize is {trained.config.data.resize!r}; expected 'stretch' for an export. Train with "
            "--config.data.resize=stretch, or add it here, which changes the predictions."
        )
    return _FUNCTIONS[trained.config.task](_portable(trained), size)


def describe_export(trained: TrainedModel, size: tuple[int, int] | None) -> dict[str, Any]:
    """Returns what an artifact says about itself, as JSON values."""
    sides = "h, w" if size is None else f"{size[0]}, {size[1]}"
    task = trained.config.task
    return {
        "format": 1,
        "jaxseg": jaxseg.__version__,
        "jax": jax.__version__,
        "task": task,
        "input": f"uint8 [b, {sides}, 3], RGB",
        "size": None if size is None else list(size),
        "predicted": _predicted_size(trained) if task == "semantic" else None,
        "outputs": OUTPUTS[task],
        "class_names": list(trained.class_names),
        "palette": np.asarray(trained.palette).tolist(),
        "category_ids": [int(number) for number in trained.category_ids],
        "config": json.loads(trained.config.to_json()),
    }


def _predicted_size(trained: TrainedModel) -> list[int]:
    """Returns height and width of a semantic model's logits; valid convolutions make them smaller than the image."""
    image = jax.ShapeDtypeStruct((1, *image_size(trained.config.data), 3), jnp.float32)
    logits = jax.eval_shape(lambda x: trained.model.apply(trained.variables, x, train=False)["logits"], image)
    return list(logits.shape[1:3])


def write_export(path: pathlib.Path, export: Export) -> None:
    """Writes a StableHLO export; the file appears when it is complete."""
    assert isinstance(export.program, jax.export.Exported)
    part = path.with_name(path.name + ".part")
    with zipfile.ZipFile(part, "w") as archive:
        archive.writestr(PROGRAM, bytes(export.program.serialize()))
        archive.writestr(DESCRIPTION, json.dumps(export.description, indent=2))
    part.replace(path)


def read_export(path: pathlib.Path) -> Export:
    """Reads an export.

    Raises:
      ValueError: the file is not an export, or it was made for another version of jax.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            description = json.loads(archive.read(DESCRIPTION))
            return Export(jax.export.deserialize(bytearray(archive.read(PROGRAM))), description)
    except FileNotFoundError:
        raise ValueError(f"model is {path}, which does not exist; expected a file of jaxseg export.") from None
    except Exception as error:  # zip, JSON and the deserializer raise different types for damaged files
        raise ValueError(f"model is {path}, which cannot be read ({error}); export it again.") from error


def compare_results(
    expected: Sequence[SemanticResult | InstanceResult], found: Sequence[SemanticResult | InstanceResult]
) -> dict[str, float]:
    """Returns the largest differences between results of a run and of its export.

    Returns:
      For semantic models ``pixels``, the largest share of an image's pixels with another class. For detectors
      ``missing`` and ``score``. ``missing`` is the share of detections above 0.5 without a partner of the same class
      and an IoU of at least 0.9. ``score`` is the largest difference of scores of partners.
    """
    if isinstance(expected[0], SemanticResult):
        shares = [float(np.mean(one.mask != other.mask)) for one, other in zip(expected, found, strict=True)]
        return {"pixels": max(shares)}
    missing = total = 0
    score = 0.0
    # A model that is sure of nothing is compared by its best detections, so that the comparison is never empty.
    least = min(0.5, max(float(one.scores.max(initial=0)) for one in expected))
    for one, other in zip(expected, found, strict=True):
        for slot in np.flatnonzero(one.scores >= least):
            total += 1
            same = np.flatnonzero(other.class_ids == one.class_ids[slot])
            ious = [box_iou(one.boxes[slot], other.boxes[number]) for number in same]
            if not ious or max(ious) < 0.9:
                missing += 1
                continue
            score = max(score, abs(float(one.scores[slot] - other.scores[same[int(np.argmax(ious))]])))
    return {"missing": missing / max(total, 1), "score": score}


def box_iou(one: np.ndarray, other: np.ndarray) -> float:
    """Returns intersection over union of two boxes.

    Example:
      >>> box_iou(np.array([0, 0, 2, 2]), np.array([1, 0, 3, 2]))
      0.3333333333333333
    """
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    areas = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]))
    return shared / max(areas - shared, 1e-9)


def _portable(trained: TrainedModel) -> TrainedModel:
    """Returns the model with the forms of operations that serve all platforms, and variables on one device."""
    variables = jax.tree.map(np.asarray, trained.variables)
    return trained._replace(model=trained.model.clone(cpu_kernels=False), variables=variables, mesh=None)


def _semantic(trained: TrainedModel, size: tuple[int, int] | None) -> Callable[[jax.Array], Outputs]:
    del size  # The model sees images of one size in any case.
    config, data = trained.config, trained.config.data
    height, width = image_size(data)

    def answer(image: jax.Array) -> Outputs:
        """Returns a class per pixel of each image."""
        own = image.shape[1:3]
        # Images are resized as uint8 in training, so that the resized pixels are whole numbers here too.
        x = jnp.rint(_resize(image.astype(jnp.float32), (height, width), (height, width)))
        with matmul_precision(config):
            x = normalize(x, data.mean, data.std, data.scale, DTYPES[config.precision])
            logits = trained.model.apply(trained.variables, x, train=False)["logits"]
        if logits.shape[1:3] != (height, width):
            logits = extend_to(logits, (height, width))
        logits = logits.astype(jnp.float32)
        return {"label": jnp.argmax(_resize(logits, own, own), axis=-1).astype(jnp.uint8)}

    return answer


def _instances(trained: TrainedModel, size: tuple[int, int] | None) -> Callable[[jax.Array], Outputs]:
    config, data = trained.config, trained.config.data
    if size is None:
        canvas = (max(max(bucket) for bucket in buckets(data.min_size, data.max_size)),) * 2
    else:
        canvas = rounded_up(resized_size(size, data.min_size, data.max_size))

    def answer(image: jax.Array) -> Outputs:
        """Returns the objects of each image."""
        sizes = _detector_sizes(image.shape[1:3], data.min_size, data.max_size, image.shape[0])
        x = normalize(image.astype(jnp.float32), data.mean, data.std, data.scale)
        x = _resize(x, canvas, (sizes[0, 0], sizes[0, 1]))
        x = zero_padding(x, valid_mask(sizes, x.shape[1:3], 1))
        with matmul_precision(config):
            found = trained.model.apply(trained.variables, x, sizes, padded_to_stride(sizes))
        own = jnp.stack([jnp.asarray(length, jnp.float32) for length in image.shape[1:3]])
        ratios = own[None] / sizes.astype(jnp.float32)
        factors = jnp.stack([ratios[:, 1], ratios[:, 0]] * 2, axis=-1)
        return found._replace(boxes=found.boxes * factors[:, None])._asdict()

    return answer


_FUNCTIONS = {"semantic": _semantic, "instances": _instances}


def _detector_sizes(size: Sequence[Any], min_size: int, max_size: int, images: Any) -> jax.Array:
    """Returns the size to which images are resized, int32 ``[b, 2]``, see ``data.resize.resized_size``."""
    height, width = (jnp.asarray(length, jnp.int32) for length in size)
    short, long = jnp.minimum(height, width), jnp.maximum(height, width)
    by_short = min_size * long <= max_size * short  # whole numbers: float32 could round a side down
    above, below = jnp.where(by_short, min_size, max_size), jnp.where(by_short, short, long)
    sides = jnp.maximum(jnp.stack([height, width]) * above // below, 1)
    return jnp.broadcast_to(sides[None], (images, 2))


def _resize(x: jax.Array, canvas: Sequence[Any], size: Sequence[Any]) -> jax.Array:
    """Resizes ``x [b, h, w, c]`` bilinearly to ``size``, at the top left of a canvas; beyond, edges repeat."""
    for axis, (length, new) in enumerate(zip(canvas, size, strict=True), start=1):
        old = x.shape[axis]
        ratio = jnp.asarray(old, jnp.float32) / jnp.asarray(new, jnp.float32)
        positions = (jnp.arange(length, dtype=jnp.float32) + 0.5) * ratio - 0.5
        indices, weights = bilinear.taps(positions, old)
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        low, high = (jnp.take(x, indices[:, i], axis=axis) for i in range(2))
        x = low * weights[:, 0].reshape(shape) + high * weights[:, 1].reshape(shape)
    return x

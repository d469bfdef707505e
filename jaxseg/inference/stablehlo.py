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
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

import jaxseg
from jaxseg.data.semantic.transforms import image_size
from jaxseg.inference.engine import TrainedModel
from jaxseg.inference.export_function import make_function
from jaxseg.storage import whole_file

PLATFORMS = ("cpu", "cuda", "tpu")
PROGRAM, DESCRIPTION = "program.bin", "model.json"


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
    function = make_function(trained, size)
    sides = "h, w" if size is None else f"{size[0]}, {size[1]}"
    (shape,) = (jax.export.symbolic_shape(f"b, {sides}, 3"),)
    image = jax.ShapeDtypeStruct(shape, jnp.uint8)
    program = jax.export.export(jax.jit(function), platforms=PLATFORMS)(image)
    return Export(program, describe_export(trained, size))


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
    with whole_file(path) as part, zipfile.ZipFile(part, "w") as archive:
        archive.writestr(PROGRAM, bytes(export.program.serialize()))
        archive.writestr(DESCRIPTION, json.dumps(export.description, indent=2))


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

"""Converts trained models to ONNX by jax2onnx, with what that converter lacks."""

import logging
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun

from jaxseg.data.semantic.transforms import image_size
from jaxseg.inference.engine import TrainedModel
from jaxseg.inference.export_function import make_function
from jaxseg.inference.onnx_adapters import compact_constants, faster_check, narrow_constants, replace_bool_where
from jaxseg.inference.onnx_files import INPUT, OnnxProgram, check_libraries
from jaxseg.inference.stablehlo import Export, describe_export

LARGEST = 2**31 - 2**20  # bytes of an ONNX file; the format is limited to 2 GiB


def export_onnx(trained: TrainedModel, size: tuple[int, int] | None = None) -> Export:
    """Exports a model as ONNX for images of one size.

    A semantic model takes any number of images, a detector one at a time.

    Args:
      trained: the model.
      size: height and width of the images; None uses ``data.image_size`` of a semantic model.

    Raises:
      ValueError: a library is missing, a detector has no size, or the model is too large for the format.
    """
    check_libraries("jax2onnx", "onnx", "onnxruntime")
    is_detector = trained.config.task == "instances"
    if size is None and is_detector:
        raise ValueError("--size is missing; an ONNX detector takes images of one size. Give one, such as 480,640.")
    size = size or image_size(trained.config.data)
    batch = 1 if is_detector else "b"
    (shape,) = (jax.export.symbolic_shape(f"{batch}, {size[0]}, {size[1]}, 3"),)
    spec = jax.ShapeDtypeStruct(shape, jnp.uint8)
    model = convert(make_function(trained, size), spec, inline=is_detector)
    if model.ByteSize() > LARGEST:
        raise ValueError(f"the model has {model.ByteSize()} bytes; expected at most {LARGEST} for ONNX.")
    description = {**describe_export(trained, size), "batch": 1 if is_detector else None}
    description["input"] = f"uint8 [{batch}, {size[0]}, {size[1]}, 3], RGB"
    return Export(OnnxProgram(model.SerializeToString()), description)


def convert(function: Callable[[Any], dict[str, jax.Array]], spec: jax.ShapeDtypeStruct, inline: bool = False) -> Any:
    """Returns the ONNX model of a function that returns a dictionary of arrays.

    Args:
      function: what to convert.
      spec: the shape and type of its only argument.
      inline: whether to trace the function before the converter does. Otherwise the converter replaces functions of
        ``jax.numpy`` while it traces. Its ``where`` of a float and a Python int would round the float, for example.
    """
    from jax2onnx import to_onnx

    names = sorted(jax.eval_shape(function, spec))
    traced = jaxpr_as_fun(jax.make_jaxpr(lambda x: _values(function(x)))(spec)) if inline else None

    def flat(image: jax.Array) -> tuple[jax.Array, ...]:
        return tuple(traced(image)) if traced is not None else tuple(_values(function(image)))

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # The converter reports each inner value without a type.
    try:
        with faster_check():
            model = to_onnx(flat, [spec], input_names=[INPUT], output_names=names)
    finally:
        logging.disable(before)
    return replace_bool_where(narrow_constants(compact_constants(model)))


def _values(outputs: dict[str, jax.Array]) -> list[jax.Array]:
    return [outputs[name] for name in sorted(outputs)]

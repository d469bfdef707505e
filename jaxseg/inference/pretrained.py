"""Predictors from a config and another framework's file of weights, without a run."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxseg.data.coco import classes as coco_classes
from jaxseg.inference import instances
from jaxseg.inference.prediction import Prediction
from jaxseg.models.mask_rcnn.model import MaskRCNN
from jaxseg.models.table import INSTANCES, make_model
from jaxseg.weights.files import find_weights, frozen_norm_epsilon, read_weights
from jaxseg.weights.mappings import MASK_RCNN_V1, MASK_RCNN_V2
from jaxseg.weights.torchvision import from_state_dict

CLASSES = {"coco": (coco_classes.CLASS_NAMES, coco_classes.PALETTE)}
MAPPINGS = {1: MASK_RCNN_V1, 2: MASK_RCNN_V2}


def from_weights(config: Any, weights: str) -> Callable[[np.ndarray], Prediction]:
    """What turns a photograph, uint8 ``[h, w, 3]``, into a ``Prediction``, with torchvision's weights.

    Args:
      config: of a detector; ``config.data.name`` says which classes its outputs are.
      weights: a ``.pth`` or ``.safetensors`` file, or torchvision's name of one, which is downloaded.

    Raises:
      ValueError: the config is not one of a detector, or the weights do not fit it.
    """
    if config.task != "instances":
        raise ValueError(
            f"--weights serves detectors, but the config's task is {config.task!r}: give --workdir of a run"
        )
    if config.data.name not in CLASSES:
        known = ", ".join(CLASSES)
        raise ValueError(f"data.name is {config.data.name!r}; classes without a run are known of {known}")
    class_names, palette = CLASSES[config.data.name]
    path = find_weights(weights)
    config = config.copy_and_resolve_references()
    if config.model.norm == "frozen":
        config.model.norm_epsilon = frozen_norm_epsilon(path)
    model = make_model(INSTANCES, config, len(class_names), cpu_kernels=jax.devices()[0].platform == "cpu")
    variables = from_state_dict(read_weights(path), abstract_variables(model), MAPPINGS[config.model.version]).variables
    predict = partial(jax.jit(partial(_detect, model)), variables)
    return instances.make_predictor(config, class_names, palette, predict, range(len(class_names)))


def abstract_variables(model: MaskRCNN) -> dict[str, Any]:
    """The shapes of a detector's variables."""
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
    sizes = jax.ShapeDtypeStruct((1, 2), np.int32)
    return jax.eval_shape(model.init, jax.random.key(0), image, sizes)


def _detect(model: MaskRCNN, variables: dict, image: jax.Array, sizes: jax.Array, extents: jax.Array) -> Any:
    # float32 means float32: left alone, GPUs and TPUs would round the factors of a product.
    with jax.default_matmul_precision("highest" if model.dtype == np.float32 else "default"):
        return model.apply(variables, image, sizes, extents)

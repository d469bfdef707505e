"""Trained models from a config and a file of weights of another framework, without a run."""

import pathlib
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import ml_collections
import numpy as np

from jaxseg.config.resolution import fill_normalization
from jaxseg.data.coco import classes as coco_classes
from jaxseg.data.colors import voc_colors
from jaxseg.data.semantic.transforms import image_size
from jaxseg.data.sources import oxford_pets, shapes, voc
from jaxseg.inference.engine import TrainedModel
from jaxseg.models.fcn_resnet import FCNResNet
from jaxseg.models.mask_rcnn.model import MaskRCNN
from jaxseg.models.table import INSTANCES, SEMANTIC, make_model
from jaxseg.weights.files import COCO_V1_DETECTOR, find_weights, read_checkpoint, sha256
from jaxseg.weights.mappings import FCN_RESNET, MASK_RCNN_V1, MASK_RCNN_V2, Mapping
from jaxseg.weights.torchvision import from_state_dict

MODELS = {"semantic": SEMANTIC, "instances": INSTANCES}
MAPPINGS = {1: MASK_RCNN_V1, 2: MASK_RCNN_V2}

ClassNames = str | pathlib.Path | Sequence[str]

# The classes of data sets for which weights are published, by ``config.data.name``.
CLASSES = {
    "coco": (coco_classes.CLASS_NAMES, coco_classes.PALETTE),
    "auto": (coco_classes.CLASS_NAMES, coco_classes.PALETTE),  # where the number of classes fits
    "voc": (voc.CLASS_NAMES, voc_colors(len(voc.CLASS_NAMES))),
    "oxford_pets": (oxford_pets.CLASS_NAMES, oxford_pets.PALETTE),
    "shapes": (shapes.CLASS_NAMES, shapes.PALETTE),
}

# An entry with a row per class, by which the number of classes of a file is told.
HEADS = {FCNResNet: "classifier.4.weight", MaskRCNN: "roi_heads.box_predictor.cls_score.weight"}
SECOND_VERSION = "roi_heads.box_head.5.weight"  # An entry that only the second version of Mask R-CNN has.


def load_weights(
    config: ml_collections.ConfigDict, weights: str | pathlib.Path, class_names: ClassNames | None = None
) -> tuple[TrainedModel, tuple[str, ...]]:
    """Returns the model of a config with torchvision's weights, and notes on how the file was read.

    Args:
      config: describes the model and how images are resized and normalized.
      weights: a ``.pth`` or ``.safetensors`` file, or torchvision's name of one, which is downloaded.
      class_names: names, or a text file with a name per line, with or without the background; None uses the names of
        the config's data set if their number fits.

    Raises:
      ValueError: there is no such file, or it does not fit the config or the names.
    """
    path = find_weights(str(weights))
    checkpoint = read_checkpoint(path)
    config = config.copy_and_resolve_references()
    kind = MODELS[config.task].get(config.model.name)
    if kind not in HEADS:
        known = ", ".join(name for models in MODELS.values() for name, model in models.items() if model in HEADS)
        raise ValueError(
            f"weights are for model.name {known}, but the config has {config.model.name!r}. Give the workdir of a run."
        )
    classes = _class_count(checkpoint.arrays, HEADS[kind], path, config)
    with config.unlocked():
        fill_normalization(config)
        if config.task == "semantic":
            config.data.image_size = image_size(config.data)
        if kind is MaskRCNN and sha256(path).startswith(COCO_V1_DETECTOR):
            config.model.norm_epsilon = 0.0
        if kind is FCNResNet:
            config.model.auxiliary = "aux_classifier.4.weight" in checkpoint.arrays
    names, palette = find_classes(classes, config.data.name, class_names)
    model = make_model(MODELS[config.task], config, classes, cpu_kernels=jax.devices()[0].platform == "cpu")
    variables = from_state_dict(checkpoint.arrays, abstract_variables(model), torchvision_mapping(model)).variables
    return TrainedModel(config, model, variables, names, palette, tuple(range(classes))), checkpoint.notes


def torchvision_mapping(model: nn.Module) -> Mapping:
    """Returns how torchvision names the variables of a model.

    Raises:
      ValueError: torchvision does not have this model.
    """
    if isinstance(model, MaskRCNN):
        return MAPPINGS[model.version]
    if isinstance(model, FCNResNet):
        return FCN_RESNET
    raise ValueError(f"model is {type(model).__name__}; torchvision has {', '.join(kind.__name__ for kind in HEADS)}")


def abstract_variables(model: nn.Module) -> dict[str, Any]:
    """Returns the shapes of a model's variables."""
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
    if isinstance(model, MaskRCNN):
        return jax.eval_shape(model.init, jax.random.key(0), image, jax.ShapeDtypeStruct((1, 2), np.int32))
    return jax.eval_shape(
        lambda key: model.init(key, np.zeros(image.shape, image.dtype), train=False), jax.random.key(0)
    )


def find_classes(
    count: int, data_set: str, class_names: ClassNames | None = None
) -> tuple[tuple[str, ...], np.ndarray]:
    """Returns the names and colors of the classes of a file.

    Args:
      count: the number of outputs of the model, the background among them.
      data_set: ``config.data.name``.
      class_names: see ``load_weights``.

    Raises:
      ValueError: the number of names does not fit.

    >>> find_classes(3, "folder", ["cat", "dog"])[0]
    ('background', 'cat', 'dog')
    """
    if class_names is None:
        names, palette = CLASSES.get(data_set, ((), None))
        if len(names) == count:
            return names, palette
        return ("background", *(f"class {number}" for number in range(1, count))), voc_colors(count)
    names = read_names(class_names)
    if len(names) == count - 1:
        names = ("background", *names)
    if len(names) != count:
        raise ValueError(
            f"class names are {len(names)}, but the weights have {count} outputs; expected {count} names with the "
            f"background first, or {count - 1} without it"
        )
    return names, voc_colors(count)


def read_names(class_names: ClassNames) -> tuple[str, ...]:
    """Returns class names from a text file with a name per line, or as they are given.

    Raises:
      ValueError: the file cannot be read.
    """
    if not isinstance(class_names, str | pathlib.Path):
        return tuple(map(str, class_names))
    try:
        lines = pathlib.Path(class_names).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"class names cannot be read from {class_names} ({error}); expected a name per line") from None
    return tuple(line.strip() for line in lines if line.strip())


def _class_count(arrays: dict[str, np.ndarray], head: str, path: pathlib.Path, config: Any) -> int:
    if head not in arrays:
        found = ", ".join(list(arrays)[:3])
        raise ValueError(f"{path} has no entry {head}, which model.name={config.model.name} needs; it has {found}, ...")
    version = 2 if SECOND_VERSION in arrays else 1
    if config.model.name == "mask_rcnn" and version != config.model.version:
        raise ValueError(
            f"model.version is {config.model.version}, but {path} is of version {version}. "
            f"Set --config.model.version={version}, or choose a config of that version."
        )
    return len(arrays[head])

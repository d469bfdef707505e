"""Trained models as files for other programs."""

import pathlib

import jax
import numpy as np
from safetensors.numpy import save_file

from jaxseg.inference.predictor import Predictor
from jaxseg.inference.pretrained import torchvision_mapping
from jaxseg.models.fcn_resnet import FCNResNet
from jaxseg.storage import whole_file
from jaxseg.weights.pth_writing import write_pth
from jaxseg.weights.torchvision import to_state_dict


def export_torchvision(predictor: Predictor, path: pathlib.Path) -> str:
    """Writes a model's variables as a state dict that torchvision loads strictly.

    Args:
      predictor: an FCN-ResNet or a Mask R-CNN.
      path: the file, ``.pth`` or ``.safetensors``.

    Returns:
      The Python lines that load the file.

    Raises:
      ValueError: torchvision does not have this model, or the ending is another.
    """
    trained = predictor.trained
    variables = jax.tree.map(np.asarray, jax.device_get(trained.variables))
    state = to_state_dict(variables, torchvision_mapping(trained.model))
    if path.suffix == ".safetensors":
        with whole_file(path) as part:
            save_file(state, part)
        read = f"safetensors.torch.load_file({path.name!r})"
    elif path.suffix in (".pth", ".pt"):
        write_pth(path, state)
        read = f"torch.load({path.name!r})"
    else:
        raise ValueError(f"output is {path}; expected a name that ends in .pth or .safetensors")
    return f"model = {_constructor(predictor)}\nmodel.load_state_dict({read})"


def _constructor(predictor: Predictor) -> str:
    """Returns the call that makes the same model in torchvision."""
    model, classes = predictor.trained.model, len(predictor.class_names)
    if isinstance(model, FCNResNet):
        name, options = f"segmentation.fcn_resnet{model.depth}", f", aux_loss={model.auxiliary}"
    else:
        second = "_v2" if model.version == 2 else ""
        data = predictor.trained.config.data
        name = f"detection.maskrcnn_resnet50_fpn{second}"
        options = f", min_size={data.min_size}, max_size={data.max_size}"
    return f"torchvision.models.{name}(weights=None, weights_backbone=None, num_classes={classes}{options})"

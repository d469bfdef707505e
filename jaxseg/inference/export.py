"""Trained models as files for other programs."""

import pathlib

import jax
import numpy as np
from safetensors.numpy import save_file

from jaxseg.inference.predictor import Predictor
from jaxseg.inference.pretrained import torchvision_mapping
from jaxseg.inference.torchvision_lines import torchvision_lines
from jaxseg.storage import whole_file
from jaxseg.weights.pth_writing import write_pth
from jaxseg.weights.torchvision import to_state_dict


def export_torchvision(predictor: Predictor, path: pathlib.Path) -> str:
    """Writes a model's variables as a state dict that torchvision loads strictly.

    Args:
      predictor: an FCN-ResNet or a Mask R-CNN.
      path: the file, ``.pth`` or ``.safetensors``.

    Returns:
      The Python lines that build the model in torchvision and load the file.

    Raises:
      ValueError: torchvision does not have this model, or the ending is another.
    """
    trained = predictor.trained
    if path.suffix == ".safetensors":
        read = f"safetensors.torch.load_file({path.name!r})"
    elif path.suffix in (".pth", ".pt"):
        read = f"torch.load({path.name!r})"
    else:
        raise ValueError(f"output is {path}; expected a name that ends in .pth or .safetensors")
    mapping, lines = torchvision_mapping(trained.model), torchvision_lines(trained, read)
    state = to_state_dict(jax.tree.map(np.asarray, jax.device_get(trained.variables)), mapping)
    if path.suffix == ".safetensors":
        with whole_file(path) as part:
            save_file(state, part)
    else:
        write_pth(path, state)
    return lines

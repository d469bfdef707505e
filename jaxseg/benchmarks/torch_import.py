"""PyTorch and torchvision, which nobody needs but those who want to compare."""

import importlib
from types import ModuleType


def import_torch() -> ModuleType:
    """Returns PyTorch.

    Raises:
      ValueError: it is not there, or cannot be used.
    """
    return _import("torch", "pip install torch")


def import_torchvision() -> ModuleType:
    """Returns torchvision, with its detectors.

    Raises:
      ValueError: it is not there, or cannot be used.
    """
    return _import("torchvision", "install the one that belongs to your PyTorch")


def frameworks_for(model: str) -> list[ModuleType]:
    """Returns the libraries that a model's counterpart is made of.

    Args:
      model: ``config.model.name``.

    Raises:
      ValueError: it has no counterpart, or something is not there.
    """
    if model not in COUNTERPARTS:
        raise ValueError(f"--against torch knows no {model}; it knows {', '.join(COUNTERPARTS)}")
    return [load() for load in COUNTERPARTS[model]]


def _import(name: str, remedy: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError, OSError) as error:  # a torchvision of another PyTorch's raises RuntimeError
        reason = " ".join(str(error).split())
        raise ValueError(f"--against torch needs {name}, which cannot be imported ({reason}): {remedy}") from error


COUNTERPARTS = {
    "unet": (import_torch,),
    "unet_resnet": (import_torch, import_torchvision),
    "fcn_vgg": (import_torch,),
    "fcn_resnet": (import_torch, import_torchvision),
    "mask_rcnn": (import_torch, import_torchvision),
}

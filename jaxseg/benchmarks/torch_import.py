"""PyTorch and torchvision, which nobody needs but those who want to compare."""

import importlib
from types import ModuleType


def import_torch() -> ModuleType:
    """PyTorch.

    Raises:
      ValueError: it is not there, or cannot be used.
    """
    return _import("torch", "pip install torch")


def import_torchvision() -> ModuleType:
    """torchvision, with its detectors.

    Raises:
      ValueError: it is not there, or cannot be used.
    """
    return _import("torchvision", "install the one that belongs to your PyTorch")


def _import(name: str, remedy: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError, OSError) as error:  # a torchvision of another PyTorch's raises RuntimeError
        raise ValueError(f"--against torch needs {name}, which cannot be imported ({error}): {remedy}") from error

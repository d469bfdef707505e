"""Image segmentation as pure functions in JAX: FCN, U-Net and Mask R-CNN.

>>> import jaxseg
>>> scores = jaxseg.train("unet_shapes", "runs/shapes", train={"steps": 1700})  # doctest: +SKIP
>>> model = jaxseg.load("runs/shapes")  # doctest: +SKIP
>>> model.predict("photo.jpg").mask  # doctest: +SKIP
"""

import importlib.util
import os
import pathlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType  # under this name, since ``jaxseg.types`` is a module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ml_collections

    from jaxseg.inference import Predictor

__version__ = "0.1.0"
__all__ = ["__version__", "evaluate", "load", "train"]


def train(
    config: "str | os.PathLike[str] | ml_collections.ConfigDict", workdir: str | os.PathLike[str], **changes: Any
) -> dict[str, Any]:
    """Trains a config and returns its last scores, as ``jaxseg train`` does. It continues an interrupted run.

    Args:
      config: the name of a shipped config, the path of a file, or a config.
      workdir: the folder of the run.
      **changes: values of fields, by section: ``train={"steps": 100}, seed=1``.

    Returns:
      The scores of each kind of split, such as ``{"val": {"mean_iou": 0.9, ...}}``.

    Raises:
      ValueError: the config contradicts itself, the data, the devices or the workdir.

    Example:
      >>> scores = train("unet_shapes", "runs/shapes", train={"steps": 100})  # doctest: +SKIP
      >>> scores["val"]["mean_iou"]  # doctest: +SKIP
    """
    from jaxseg.commands import process, settings

    process.prepare()
    chosen = settings.with_changes(config, changes)
    process.prepare(chosen.deterministic)
    process.keep_compiled(chosen.compilation_cache)
    from jaxseg.storage import as_path
    from jaxseg.train import train as train_config

    return train_config(chosen, as_path(workdir))


def evaluate(
    workdir: str | os.PathLike[str],
    *,
    checkpoint: str | int = "latest",
    options: Mapping[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Scores a checkpoint of a run and returns the scores, as ``jaxseg evaluate`` does.

    Args:
      workdir: the folder of the run.
      checkpoint: "latest", "best" or a step.
      options: how images are predicted, such as ``{"tile": 512, "flips": True}``; None predicts each once, as a whole.
      **changes: values of fields of the config that say which data, such as ``data={"val": "", "test": "test"}``.

    Returns:
      The scores of each kind of split.

    Raises:
      ValueError: there is no such run, checkpoint or split.

    Example:
      >>> evaluate("runs/shapes", checkpoint="best")["val"]["mean_iou"]  # doctest: +SKIP
    """
    from jaxseg.commands import process, settings

    process.prepare()
    from jaxseg.evaluate import evaluate as evaluate_run
    from jaxseg.evaluate import warn_of_unused
    from jaxseg.inference.engine import read_options
    from jaxseg.run.workdir import load as load_run
    from jaxseg.storage import as_path

    folder = as_path(workdir)
    chosen = settings.with_changes(load_run(folder)[0], changes)
    process.keep_compiled(chosen.compilation_cache)
    if changes:
        warn_of_unused(chosen, folder)
    return evaluate_run(chosen, folder, str(checkpoint), options=read_options(options or {}))


def load(
    source: Any,
    weights: str | os.PathLike[str] | None = None,
    *,
    checkpoint: str | int = "latest",
    class_names: Any = None,
    **changes: Any,
) -> "Predictor":
    """Loads a trained model for predictions; ``jaxseg.inference.load`` describes the arguments.

    Args:
      source: the workdir of a run; a file of ``jaxseg export``; or, with ``weights``, a config, its name or its path.
      weights: a ``.pth`` or ``.safetensors`` file, or torchvision's name of one.
      checkpoint: which checkpoint of a run: "latest", "best" or a step.
      class_names: for ``weights``: names, or a text file with a name per line.
      **changes: values of fields of the config, for this predictor: ``data={"resize": "none"}``.

    Raises:
      ValueError: there is no such run, config, field or file, or they do not fit each other.

    Example:
      >>> load("runs/unet_pets").predict("photo.jpg").class_names  # doctest: +SKIP
      >>> load("mask_rcnn_coco", weights="maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth")  # doctest: +SKIP
    """
    from jaxseg.commands import process, settings

    process.prepare()
    from jaxseg.inference import load as load_model

    def change(config: "ml_collections.ConfigDict") -> "ml_collections.ConfigDict":
        return settings.with_changes(config, changes) if changes else config

    return load_model(source, weights, checkpoint=checkpoint, class_names=class_names, change=change)


class _CallableModule(ModuleType):
    """A module that is called like the function of the same name."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return _FUNCTIONS[self.__name__](*arguments, **named)


class _Package(ModuleType):
    """The package itself. ``jaxseg.train(...)`` works after the module ``jaxseg.train`` was imported, too."""

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and value.__name__ in _FUNCTIONS:
            value.__class__ = _CallableModule
        super().__setattr__(name, value)


def _add_pages_of_checkout() -> None:
    """Makes the pages importable as ``jaxseg.configs`` in a checkout, where their folder is next to the package.

    An installed jaxseg has them in the package.
    """
    here = pathlib.Path(__file__).resolve().parent
    pages = here.parent / "configs"
    if (here / "configs").is_dir() or not (pages / "__init__.py").is_file():
        return
    spec = importlib.util.spec_from_file_location(
        "jaxseg.configs", pages / "__init__.py", submodule_search_locations=[str(pages)]
    )
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["jaxseg.configs"] = module
        spec.loader.exec_module(module)


_FUNCTIONS: dict[str, Callable[..., Any]] = {"jaxseg.train": train, "jaxseg.evaluate": evaluate}
sys.modules[__name__].__class__ = _Package
_add_pages_of_checkout()

"""The Python API for predictions.

import jaxseg

model = jaxseg.load("runs/unet_pets")
result = model.predict("photo.jpg")
result.mask, result.class_names
result.show()
"""

import os
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import ml_collections
import numpy as np

from jaxseg.config.resolution import fill_sizes
from jaxseg.data.images import read_options as image_options
from jaxseg.inference import instances, semantic
from jaxseg.inference.engine import Engine, Options, TrainedModel, read_options
from jaxseg.inference.ensemble import join_models
from jaxseg.inference.images import to_image
from jaxseg.inference.pretrained import ClassNames, load_weights
from jaxseg.inference.results import Result
from jaxseg.run import workdir
from jaxseg.run.ensemble import members_of
from jaxseg.run.state import TrainState, eval_variables
from jaxseg.storage import as_path

Change = Callable[[ml_collections.ConfigDict], ml_collections.ConfigDict]

ENGINES: dict[str, Callable[[TrainedModel, Options], Engine]] = {
    "semantic": semantic.make_engine,
    "instances": instances.make_engine,
}


class Predictor:
    """A trained model that predicts images of any size; ``load`` makes one.

    Attributes:
      trained: the model, its variables, its config and its classes.
      notes: how the weights were read, a sentence each.
    """

    def __init__(self, trained: TrainedModel, notes: tuple[str, ...] = ()):
        self.trained = trained
        self.notes = notes
        self._engines: dict[Options, Engine] = {}

    @property
    def task(self) -> str:
        """Returns the kind of segmentation, "semantic" or "instances"."""
        return self.trained.config.task

    @property
    def class_names(self) -> tuple[str, ...]:
        """Returns a name per class."""
        return self.trained.class_names

    def predict(self, images: Any, **options: Any) -> Any:
        """Predicts one image, or several.

        Args:
          images: a path, an array ``[h, w]`` or ``[h, w, channels]``, a PIL image, or a list of these.
          **options: fields of ``Options``, such as ``tile=512``.

        Returns:
          A ``SemanticResult`` or ``InstanceResult``; for a list, a list of them in its order.

        Raises:
          ValueError: an image cannot be read, or has values without a clear meaning.
        """
        if isinstance(images, list | tuple):
            return list(self.stream(images, **options))
        return next(self.stream([images], **options))

    def stream(self, images: Iterable[Any], **options: Any) -> Iterator[Result]:
        """Yields the results of images one by one, in their order; ``batch`` images are computed together.

        Args:
          images: see ``predict``.
          **options: fields of ``Options``.
        """
        from jaxseg.inference.pipeline import run_pipeline

        engine = self.engine(**options)
        for outcome in run_pipeline(engine, images, self.read, options.get("batch", 1)):
            if outcome.error is not None:
                raise outcome.error
            assert outcome.result is not None
            yield outcome.result

    def read(self, image: Any) -> tuple[np.ndarray, str | None]:
        """Returns an image as uint8 ``[h, w, 3]``, read as in training, and its path if it is one."""
        return to_image(image, image_options(self.trained.config.data))

    def engine(self, **options: Any) -> Engine:
        """Returns the stages of a prediction for use in a pipeline of one's own; they are compiled once per options.

        Raises:
          ValueError: an option is unknown or out of range.
        """
        chosen = read_options(options)
        if chosen not in self._engines:
            self._engines[chosen] = ENGINES[self.task](self.trained, chosen)
        return self._engines[chosen]

    def __repr__(self) -> str:
        name = self.trained.config.model.name
        return f"Predictor({name}, {self.task}, {len(self.class_names)} classes: {', '.join(self.class_names[:5])}...)"


def _unchanged(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    return config


def load(
    source: str | os.PathLike | ml_collections.ConfigDict,
    weights: str | os.PathLike | None = None,
    *,
    checkpoint: str | int = "latest",
    class_names: ClassNames | None = None,
    change: Change = _unchanged,
) -> Predictor:
    """Loads a trained model.

    Args:
      source: the workdir of a run, or of several that were trained together, which predict the mean of their
        probabilities; or a file of ``jaxseg export``; or, with ``weights``, a config, its name or its path.
      weights: a ``.pth`` or ``.safetensors`` file of torchvision's FCN or Mask R-CNN, or torchvision's name of one.
      checkpoint: which checkpoint of a run: "latest", "best" or a step.
      class_names: for ``weights``: names, or a text file with a name per line.
      change: returns the config with changes for this predictor, such as another ``data.resize`` or mesh.

    Raises:
      ValueError: there is no such run, config or file, or they do not fit each other.

    Examples:
      ``load("runs/unet_pets")``, ``load("mask_rcnn_coco", weights="maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth")``
    """
    if not isinstance(source, str | os.PathLike | ml_collections.ConfigDict):
        raise ValueError(f"source is {source!r}; expected the workdir of a run, a file of jaxseg export, or a config.")
    if class_names is not None and weights is None:
        raise ValueError("class_names is given without weights; expected both. A run and an export have their own.")
    if weights is not None:
        trained, notes = load_weights(change(_find_config(source)), os.fspath(weights), class_names)
        return Predictor(trained, notes)
    if isinstance(source, ml_collections.ConfigDict):
        raise ValueError("weights is None; expected a file of weights for a config. Give the workdir of a run instead.")
    folder = as_path(source)
    if folder.is_file():
        if checkpoint != "latest":
            raise ValueError(f"checkpoint is {checkpoint!r}, but {folder} is an export, which has one. Leave it out.")
        return _load_file(folder, change)
    members = [load_run(member, str(checkpoint), change) for member in members_of(folder)]
    return Predictor(join_models(members) if members else load_run(folder, str(checkpoint), change))


def _load_file(path: pathlib.Path, change: Change) -> Predictor:
    """Returns the predictor of an exported file.

    Raises:
      ValueError: it is no export, or its config is to be changed.
    """
    from jaxseg.inference.exported import load_export  # here, since it imports this module

    if path.suffix in (".pth", ".pt", ".safetensors"):
        raise ValueError(f"{path} has weights without a config. Name one: load('mask_rcnn_coco', weights='{path}').")
    predictor = load_export(path)
    own = predictor.trained.config
    if change(own.copy_and_resolve_references()) != own:
        raise ValueError(f"{path} is an exported program; its config cannot be changed. Load the run instead.")
    return predictor


def load_run(folder: pathlib.Path, checkpoint: str = "latest", change: Change = _unchanged) -> TrainedModel:
    """Returns the model of a run's checkpoint, see ``load``.

    Raises:
      ValueError: there is no such run or checkpoint, or a changed model has other parameters.
    """
    from jaxseg.run.checkpoint_reader import load_checkpoint
    from jaxseg.run.experiment import build

    own, class_names, palette = workdir.load(folder)
    config = change(own.copy_and_resolve_references())
    with config.unlocked():
        fill_sizes(config.data)  # A changed size may be one number.
    experiment = build(config, class_names, palette)
    if config.model != own.model:
        _check_parameters(build(own, class_names, palette).steps.abstract_state, experiment.steps.abstract_state)
    best_metric = experiment.config.train.best_metric
    state = load_checkpoint(folder, experiment.steps.abstract_state, checkpoint, best_metric)
    variables = eval_variables(state)
    ids = tuple(workdir.category_ids(folder))
    return TrainedModel(config, experiment.task.model.module, variables, class_names, palette, ids, experiment.mesh)


def _check_parameters(own: TrainState, changed: TrainState) -> None:
    """Raises ``ValueError`` if a run and its changed model have different parameters."""
    of_run, of_model = (
        {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(state.params)}
        for state in (own, changed)
    )
    for name in of_run | of_model:
        before, now = of_run.get(name, "none"), of_model.get(name, "none")
        if before != now:
            raise ValueError(
                f"the shape of the parameter {name} is {now} in the changed model and {before} in the run; expected "
                "the same. Change only fields that leave the parameters as they are, such as data.resize."
            )


def _find_config(source: Any) -> ml_collections.ConfigDict:
    """Returns a config that is given as such, by its name or by its path."""
    if isinstance(source, ml_collections.ConfigDict):
        return source
    from jaxseg.config import load as load_config

    return load_config(os.fspath(source))

"""Fills in what follows from other fields of a config: sizes, normalization, number of steps, warm-up."""

import json
import math
import pathlib

import ml_collections

from jaxseg.storage import as_path

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# Mean and standard deviation of data sets that differ from ImageNet, by data.name.
NORMALIZATION = {
    "isbi": ((0.5, 0.5, 0.5), (0.17, 0.17, 0.17)),
    "shapes": ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
}
MOST_EVALUATIONS = 40  # that train.evaluate_epochs asks for in a run
PATHS = ("data.source_dir", "data.dir", "init.weights", "compilation_cache")
SIZES = ("image_size", "crop_size")


def resolve_fields(config: ml_collections.ConfigDict, examples: int | None) -> None:
    """Fills in what follows from other fields.

    Args:
      config: changed in place.
      examples: number of training images, which turns epochs into steps; None where it is unknown.

    Raises:
      ValueError: a size or number of steps that cannot be.
    """
    with config.unlocked():
        expand_paths(config)
        fill_normalization(config)
        fill_sizes(config.data)
        train = config.train
        if train.steps is None and examples is not None:
            train.steps = math.ceil(train.epochs * examples / train.batch_size)
        if train.steps is None or train.steps < 1:
            raise ValueError(f"train.steps is {train.steps}; expected at least 1. Set it, or raise train.epochs.")
        if config.optimizer.warmup_steps >= train.steps:
            config.optimizer.warmup_steps = train.steps // 10
        if train.evaluate_every and train.evaluate_epochs and examples is not None:
            often = math.ceil(train.evaluate_epochs * examples / train.batch_size)
            train.evaluate_every = min(train.evaluate_every, max(often, train.steps // MOST_EVALUATIONS, 1))


def microbatches(config: ml_collections.ConfigDict) -> int:
    """Returns the number of microbatches per step; 1 for "auto" before ``run.fit`` has chosen one."""
    return 1 if config.train.accumulate == "auto" else config.train.accumulate


def notes(before: ml_collections.ConfigDict, after: ml_collections.ConfigDict) -> list[str]:
    """Returns a sentence about each field that was resolved to something else than it said."""
    given, used = before.optimizer.warmup_steps, after.optimizer.warmup_steps
    if given == used:
        return []
    return [f"optimizer.warmup_steps is {given}, but the run has {after.train.steps} steps: warm-up takes {used} steps"]


def expand_paths(config: ml_collections.ConfigDict) -> None:
    """Replaces ``~`` at the beginning of paths by the home folder, in place."""
    for field in PATHS:
        section, _, name = field.rpartition(".")
        owner = config[section] if section else config
        if owner[name].startswith("~"):
            owner[name] = str(pathlib.Path(owner[name]).expanduser())


def fill_normalization(config: ml_collections.ConfigDict) -> None:
    """Fills in ``data.mean`` and ``data.std`` where they are (), in place.

    They come with the initial weights: a run's own, or ImageNet's for published weights. Without weights they come with
    the data set.
    """
    data, weights = config.data, config.init.weights
    saved = as_path(weights) / "config.json"
    if weights and saved.is_file():
        run = json.loads(saved.read_text())["data"]
        mean, std = tuple(run["mean"]), tuple(run["std"])
    else:
        mean, std = IMAGENET if weights else normalization(data)
    data.mean, data.std = data.mean or mean, data.std or std


def normalization(data: ml_collections.ConfigDict) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation per channel of ``config.data``; where they are (), those of the data set.

    Example:
      >>> from jaxseg import config
      >>> normalization(config.load("unet_shapes").data)
      ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    """
    mean, std = NORMALIZATION.get(data.name, IMAGENET)
    return tuple(data.mean or mean), tuple(data.std or std)


def fill_sizes(data: ml_collections.ConfigDict) -> None:
    """Makes each size a pair (height, width), in place; one number means square.

    Raises:
      ValueError: a size is neither one nor two positive whole numbers.
    """
    for name in SIZES:
        if name in data:
            with data.ignore_type():
                data[name] = _pair(f"data.{name}", data[name] if data[name] != () else data.image_size)


def _pair(field: str, size: int | tuple[int, ...]) -> tuple[int, int]:
    """Returns a size as (height, width)."""
    sides = tuple(size) if isinstance(size, (list, tuple)) else (size,)
    pair = sides * 2 if len(sides) == 1 else sides
    if len(pair) != 2 or not all(isinstance(side, int) and side > 0 for side in pair):
        raise ValueError(f"{field} is {size}; expected (height, width) or one number, in pixels.")
    return pair

"""Builds what a config describes: the task on its classes, the optimizer, the mesh and the compiled steps."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import ml_collections
import numpy as np
from jax.sharding import Mesh

from jaxseg.config import ranges
from jaxseg.config.resolution import SIZES, microbatches, resolve_fields
from jaxseg.models import fields as model_fields
from jaxseg.models.table import least_rows
from jaxseg.parallel import mesh as sharding
from jaxseg.run import optimizers
from jaxseg.run.compilation import Steps, compile_steps, pmap_axis
from jaxseg.tasks import Task, make_task
from jaxseg.types import Source


class Experiment(NamedTuple):
    """A run without its data and its state.

    Attributes:
      config: resolved: with the image size as a pair and the number of steps.
      task: model, loss, predictions and metric.
      mesh: the devices.
      steps: the functions to call, compiled on first use.
    """

    config: ml_collections.ConfigDict
    task: Task
    mesh: Mesh
    steps: Steps


def resolve(config: ml_collections.ConfigDict, train: Source | None) -> ml_collections.ConfigDict:
    """Returns the config with derived fields: all fields of the model, sizes as pairs, epochs as steps.

    Args:
      config: as a config file and flags give it.
      train: the training split, which turns epochs into steps; None where ``train.steps`` is given.

    Raises:
      ValueError: a size, number of steps or number of epochs that is not positive.
    """
    config = config.copy_and_resolve_references()
    model_fields.fill(config)
    ranges.check(config)
    resolve_fields(config, None if train is None else len(train.records))
    return config


def build(
    config: ml_collections.ConfigDict,
    class_names: tuple[str, ...],
    palette: np.ndarray,
    devices: Sequence[jax.Device] | None = None,
    cpu_kernels: bool | None = None,
) -> Experiment:
    """Builds the experiment of a resolved config.

    Args:
      config: resolved.
      class_names: one per class.
      palette: uint8 ``[k, 3]``.
      devices: the devices to use. None uses all.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device. None uses them there.

    Raises:
      ValueError: the config contradicts itself, the data set or the devices.
    """
    mesh = sharding.make_mesh(config.mesh, devices)
    if cpu_kernels is None:
        cpu_kernels = sharding.is_one_cpu(mesh)
    task = make_task(config, class_names, palette, pmap_axis(config), cpu_kernels)
    if config.train.best_metric and config.train.best_metric not in task.metric.names:
        known = ", ".join(task.metric.names)
        raise ValueError(f"train.best_metric is {config.train.best_metric!r}; the scores of this task are {known}")
    _check_depth(config)
    optimizer, schedule = optimizers.make_optimizer(config.optimizer, config.train.steps, task.model.frozen)
    rows = least_rows(task.model.module, mesh.shape["spatial"])
    for height in {config.data[name][0] for name in SIZES if name in config.data}:
        sharding.check_batch(mesh, config.train.batch_size, microbatches(config), height, rows)
    return Experiment(config, task, mesh, compile_steps(task, optimizer, schedule, config, mesh))


def _check_depth(config: ml_collections.ConfigDict) -> None:
    """Checks that a U-Net does not halve its training images to less than a pixel."""
    if config.model.name != "unet":
        return
    side = min(config.data.crop_size)
    most = side.bit_length() - 1
    if config.model.depth > most:
        raise ValueError(
            f"model.depth is {config.model.depth}; expected at most {most} for training images with a side of {side} "
            "pixels. Lower it, or raise data.image_size."
        )

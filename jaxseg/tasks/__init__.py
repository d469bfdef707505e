"""The tasks: model, data, loss and metric of each kind of segmentation, as a ``Task``."""

from typing import Any

from jaxseg.tasks import instances, semantic
from jaxseg.tasks.task import Task

TASKS = {"semantic": semantic.make_task, "instances": instances.make_task}


def make_task(
    config: Any,
    class_names: tuple[str, ...],
    palette: Any,
    axis_name: str | None = None,
    cpu_kernels: bool = False,
) -> Task:
    """Makes the task of a config for the classes of a data set.

    Args:
      config: the whole config.
      class_names: one name per class.
      palette: uint8 ``[k, 3]``.
      axis_name: the axis over which pmap averages batch statistics; None without pmap.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.

    Raises:
      ValueError: the task is unknown, or a section of the config does not fit it.
    """
    if config.task not in TASKS:
        raise ValueError(f"task is {config.task!r}; known are {', '.join(sorted(TASKS))}")
    return TASKS[config.task](config, class_names, palette, axis_name, cpu_kernels)

"""Model, loss, prediction and metric of one kind of segmentation, tied into a ``Task``."""

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
    """The task that a config asks for, on a data set's classes.

    Args:
      config: the whole config.
      class_names: one a class.
      palette: uint8 ``[k, 3]``.
      axis_name: the axis over which pmap averages batch statistics, if it does.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.

    Raises:
      ValueError: an unknown task, or a section of the config that does not fit it.
    """
    if config.task not in TASKS:
        raise ValueError(f"task is {config.task!r}; known are {', '.join(sorted(TASKS))}")
    return TASKS[config.task](config, class_names, palette, axis_name, cpu_kernels)

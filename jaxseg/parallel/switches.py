"""Process-wide switches, in the order in which they take effect."""

import os
import sys
from collections.abc import Callable
from typing import Any

from jaxseg.parallel import cpu_memory

LEFT_MEMORY = "ignore:resource_tracker:UserWarning"


def set_switches(deterministic: bool = False) -> None:
    """Sets the switches of this process, before jax is imported. Calling it again does no harm.

    1. absl's verbosity: informational messages of third-party libraries are hidden.
    2. ``mallopt``: few heaps for the threads on CPUs, see ``cpu_memory``. It works only before there are threads.
    3. ``XLA_FLAGS``: the same bits in every run on a GPU. XLA reads its flags when it starts.
    4. ``JAX_ENABLE_PREEMPTION_SERVICE``: off, since its handler of SIGTERM would answer before that of
       ``jaxseg.run.signals``. JAX reads it when it is imported; ``processes.join`` sets it for those that are not.
    5. Errors in threads of Orbax and TensorStore: hidden. They print a traceback per array when a disk is full;
       ``jaxseg.run.checkpoints`` raises the error itself, once.
    6. Python's warning of shared memory that a killed worker has left: hidden. Python removes that memory itself.

    Two more belong to worker processes. ``data.stream`` starts them with ``JAX_PLATFORMS=cpu``, so that they touch no
    accelerator. ``data.workers.begin_work`` calls ``setsid``, so that Ctrl-C reaches only the process that saves.

    Args:
      deterministic: ask XLA for the same bits in every run on a GPU.
    """
    from absl import logging

    logging.set_verbosity(logging.ERROR)
    cpu_memory.limit_heaps()
    flag = "--xla_gpu_deterministic_ops=true"
    if deterministic and flag not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}"
    os.environ["JAX_ENABLE_PREEMPTION_SERVICE"] = "false"
    if not isinstance(sys.unraisablehook, _Unraisable):
        sys.unraisablehook = _Unraisable(sys.unraisablehook)
    if LEFT_MEMORY not in sys.warnoptions:
        sys.warnoptions.append(LEFT_MEMORY)  # The process that removes the memory gets it as a flag.
    logging.get_absl_logger().addFilter(_is_not_of_orbax)  # Adding it again changes nothing.


class _Unraisable:
    """A hook that hides errors of callbacks of closed event loops, and reports all others as before."""

    def __init__(self, before: Callable[[Any], None]):
        self._before = before

    def __call__(self, unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            self._before(unraisable)


def _is_not_of_orbax(record: Any) -> bool:
    return "orbax" not in record.pathname

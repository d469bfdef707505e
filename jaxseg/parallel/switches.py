"""Process-wide switches, in the order in which they take effect."""

import os

from jaxseg.parallel import cpu_memory


def set_switches(deterministic: bool = False) -> None:
    """Sets the switches of this process, before jax is imported. Calling it again does no harm.

    1. absl's verbosity: informational messages of third-party libraries are hidden.
    2. ``mallopt``: one heap for all threads on CPUs, see ``cpu_memory``. It works only before there are threads.
    3. ``XLA_FLAGS``: the same bits in every run on a GPU. XLA reads its flags when it starts.
    4. ``JAX_ENABLE_PREEMPTION_SERVICE``: off, since its handler of SIGTERM would answer before that of
       ``jaxseg.run.signals``. JAX reads it when it is imported; ``processes.join`` sets it for those that are not.

    Two more belong to worker processes. ``data.stream`` starts them with ``JAX_PLATFORMS=cpu``, so that they touch no
    accelerator. ``data.workers.begin_work`` calls ``setsid``, so that Ctrl-C reaches only the process that saves.

    Args:
      deterministic: ask XLA for the same bits in every run on a GPU.
    """
    from absl import logging

    logging.set_verbosity(logging.ERROR)
    cpu_memory.use_one_heap()
    flag = "--xla_gpu_deterministic_ops=true"
    if deterministic and flag not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}"
    os.environ["JAX_ENABLE_PREEMPTION_SERVICE"] = "false"

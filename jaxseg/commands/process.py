"""Switches of the process, set before jax is imported."""

import os
import sys
import warnings
from typing import Any


def prepare(deterministic: bool = False) -> None:
    """Sets the switches of the process. Calling it again does no harm.

    Args:
      deterministic: ask XLA for the same bits in every run on a GPU.
    """
    from absl import logging

    from jaxseg.parallel.cpu_memory import keep_freed_memory

    logging.set_verbosity(logging.ERROR)  # Hide informational messages of third-party libraries.
    warnings.showwarning = show_warning
    keep_freed_memory()  # It works only before there are threads.
    flag = "--xla_gpu_deterministic_ops=true"
    if deterministic and flag not in os.environ.get("XLA_FLAGS", ""):  # XLA reads its flags when it starts.
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}"


def show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Prints a warning for users in one line, without the place in the source code."""
    if issubclass(category, UserWarning):
        print(f"jaxseg: warning: {' '.join(str(message).split())}", file=sys.stderr)
    else:
        sys.stderr.write(warnings.formatwarning(message, category, *where[:2]))

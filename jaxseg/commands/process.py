"""Switches of the process, set before jax is imported."""

import sys
import warnings
from typing import Any


def prepare(deterministic: bool = False) -> None:
    """Sets the switches of the process, see ``parallel.switches``. Calling it again does no harm.

    Args:
      deterministic: ask XLA for the same bits in every run on a GPU.
    """
    from jaxseg.parallel.switches import set_switches

    warnings.showwarning = show_warning
    set_switches(deterministic)


def keep_compiled(folder: str) -> None:
    """Makes JAX keep its compiled programs in a folder. Nobody else may write to it, since they are executed.

    Args:
      folder: ``config.compilation_cache``; "" keeps none.
    """
    import jax

    from jaxseg.storage import as_path, is_bucket

    if folder:
        path = as_path(folder)
        if not is_bucket(path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        jax.config.update("jax_compilation_cache_dir", str(path))


def restart_with_huge_pages() -> None:
    """Restarts the process where a CPU computes faster with huge pages, see ``parallel.cpu_memory``."""
    from jaxseg.parallel import cpu_memory

    cpu_memory.restart_with_huge_pages()


def show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Prints a warning for users in one line, without the place in the source code."""
    if issubclass(category, UserWarning):
        print(f"jaxseg: warning: {' '.join(str(message).split())}", file=sys.stderr)
    else:
        sys.stderr.write(warnings.formatwarning(message, category, *where[:2]))

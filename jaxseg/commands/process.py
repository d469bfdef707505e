"""Switches of the process, set before jax is imported."""

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from types import FrameType
from typing import Any


def prepare(deterministic: bool = False) -> None:
    """Sets the switches of the process, see ``parallel.switches``. Calling it again does no harm.

    Args:
      deterministic: ask XLA for the same bits in every run on a GPU.
    """
    from jaxseg.parallel.switches import set_switches

    warnings.showwarning = show_warning
    set_switches(deterministic)


def restart_with_huge_pages() -> None:
    """Restarts the process where a CPU computes faster with huge pages, see ``parallel.cpu_memory``."""
    from jaxseg.parallel import cpu_memory

    cpu_memory.restart_with_huge_pages()


@contextlib.contextmanager
def exits_on_ctrl_c_while_importing() -> Iterator[None]:
    """Makes Ctrl-C end the process at once while a module is imported. Later it raises KeyboardInterrupt.

    Libraries may swallow the exception or crash on it while they are imported. Nothing can be lost then.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    before = signal.signal(signal.SIGINT, _exit_or_raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _exit_or_raise(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            os.write(2, b"jaxseg: stopped by Ctrl-C\n")
            os._exit(128 + number)
        frame = frame.f_back
    raise KeyboardInterrupt


def show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Prints a warning for users in one line, without the place in the source code."""
    if issubclass(category, UserWarning):
        print(f"jaxseg: warning: {' '.join(str(message).split())}", file=sys.stderr)
    else:
        sys.stderr.write(warnings.formatwarning(message, category, *where[:2]))

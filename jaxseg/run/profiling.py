"""Traces a window of training steps with JAX's profiler."""

import pathlib
import tempfile
from typing import Any

import jax

from jaxseg.storage import copy_folder, is_bucket


class Profile:
    """A tracer of a few steps of a run, for TensorBoard and https://ui.perfetto.dev.

    Args:
      folder: the folder of traces: ``plugins/profile/DATE/HOST.xplane.pb`` and ``perfetto_trace.json.gz``.
      window: the first step to trace and the last; None traces none.

    Raises:
      ValueError: the window ends before it begins.
    """

    def __init__(self, folder: pathlib.Path, window: tuple[int, int] | None):
        if window and not 1 <= window[0] <= window[1]:
            raise ValueError(
                f"--profile_steps is {window[0]},{window[1]}; expected the first step and the last, from 1"
            )
        self._folder = folder
        self._local = (
            pathlib.Path(tempfile.mkdtemp(prefix="jaxseg-profile-")) if window and is_bucket(folder) else folder
        )
        self._first, self._last = window or (0, 0)
        self._tracing = False

    def __enter__(self) -> "Profile":
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stop()

    def step(self, step: int) -> jax.profiler.StepTraceAnnotation:
        """Returns the context for starting a step; the first step of the window starts the trace."""
        if step == self._first:
            jax.profiler.start_trace(self._local, create_perfetto_trace=True)
            self._tracing = True
        return jax.profiler.StepTraceAnnotation("train", step_num=step)

    def done(self, step: int, results: Any) -> None:
        """Ends the trace when the results of the window's last step are computed."""
        if self._tracing and step >= self._last:
            jax.block_until_ready(results)
            self._stop()

    def _stop(self) -> None:
        if self._tracing:
            jax.profiler.stop_trace()
            if self._local != self._folder:
                copy_folder(self._local, self._folder)
            self._tracing = False

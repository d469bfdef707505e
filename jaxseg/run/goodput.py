"""Divides the wall time of a session among its activities: the goodput of a run is the share of its steps."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

STEPS, COMPILE, DATA_WAIT, CHECKPOINT, EVALUATION = ACTIVITIES = (
    "steps",
    "compile",
    "data_wait",
    "checkpoint",
    "evaluation",
)
IDLE = "idle"  # everything else, such as opening the data and writing the report
COMPILE_EVENTS = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)


class Goodput:
    """A clock that gives every second of its thread to one activity. It runs from its creation on.

    Use it in a ``with`` statement: while it is open, it hears of what JAX traces and compiles.

    Example:
      >>> with Goodput() as clock:
      ...     with clock.spend(EVALUATION):
      ...         pass
      >>> sorted(clock.shares())
      ['checkpoint', 'compile', 'data_wait', 'evaluation', 'idle', 'steps']
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter):
        self._now, self._start = now, now()
        self._seconds = dict.fromkeys(ACTIVITIES, 0.0)
        self._inner = 0.0  # seconds that belong to activities within the current one
        self._compiled: list[tuple[float, float]] = []  # start and seconds of each event that no other contains
        self._thread = threading.get_ident()

    def __enter__(self) -> "Goodput":
        jax.monitoring.register_event_duration_secs_listener(self.listen)
        return self

    def __exit__(self, *_: object) -> None:
        jax.monitoring.unregister_event_duration_listener(self.listen)

    @contextlib.contextmanager
    def spend(self, activity: str) -> Iterator[None]:
        """Gives the time within this context to an activity, except for what activities within it take."""
        start, outer, self._inner = self._now(), self._inner, 0.0
        try:
            yield
        finally:
            seconds = self._now() - start
            self._seconds[activity] += seconds - self._inner
            self._inner = outer + seconds

    def wait(self, batches: Iterator[Any], result: jax.Array | None) -> tuple[Any, float]:
        """Returns the next batch, and the seconds for which the devices had no step to compute because of it.

        Args:
          batches: the input pipeline.
          result: a result of the step that the devices are working on; None after the last one was waited for.
        """
        start = self._now()
        batch = next(batches)
        seconds = self._now() - start
        if result is not None and not result.is_ready():
            seconds = 0.0  # the devices are still busy
        self._seconds[DATA_WAIT] += seconds
        self._inner += seconds
        return batch, seconds

    def listen(self, event: str, seconds: float, **_: object) -> None:
        """Gives the seconds of an event of JAX to compilation. An event may contain earlier ones, which count once."""
        if event not in COMPILE_EVENTS or threading.get_ident() != self._thread:
            return
        start, within = self._now() - seconds, 0.0
        while self._compiled and self._compiled[-1][0] >= start:
            within += self._compiled.pop()[1]
        self._compiled.append((start, seconds))
        self._seconds[COMPILE] += seconds - within
        self._inner += seconds - within

    @property
    def seconds(self) -> dict[str, float]:
        """Returns the seconds of each activity since the start; "idle" has the rest."""
        total = self._now() - self._start
        return {**self._seconds, IDLE: total - sum(self._seconds.values())}

    def shares(self) -> dict[str, float]:
        """Returns the share of each activity in the time since the start. The shares add up to 1."""
        seconds = self.seconds
        total = sum(seconds.values())
        return {name: each / total if total else 0.0 for name, each in seconds.items()}


def describe_shares(shares: Mapping[str, float]) -> str:
    """Returns shares in words, the largest first.

    Example:
      >>> describe_shares({"steps": 0.805, "data_wait": 0.1, "compile": 0.095, "idle": 0.0})
      '80% steps, 10% data wait, 10% compile'
    """
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{share:.0%} {name.replace('_', ' ')}" for name, share in ordered if share >= 0.005)

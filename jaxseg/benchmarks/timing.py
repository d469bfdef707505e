"""Measures several things in turns, so a slow phase of the machine slows all of them."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

REST = 0.05  # seconds between two turns, in which the threads of one library stop spinning


def nothing() -> None:
    """Does nothing."""


class Contender(NamedTuple):
    """One of the programs that are timed in turns.

    Attributes:
      framework: "jaxseg", "torch" or "jax".
      mode: which way of doing it.
      run: does it a number of times, and returns when the device is done.
      images: how many images it takes each time; 0 where there are none.
      prepare: called before each turn, outside the time.
      compile_seconds: seconds of compiling, if it was compiled.
      peak_bytes: asked at the end: the most memory that it needed at once, None if unknown.
      flops: floating-point operations of its matrix products and convolutions, each time.
      bytes_moved: bytes that it reads and writes, each time.
    """

    framework: str
    mode: str
    run: Callable[[int], None]
    images: int = 0
    prepare: Callable[[], Any] = nothing
    compile_seconds: float | None = None
    peak_bytes: Callable[[], int | None] = nothing
    flops: float | None = None
    bytes_moved: float | None = None


class Timing(NamedTuple):
    """The measured times of one contender over all rounds.

    Attributes:
      seconds: the median time that it takes once.
      spread: the longest minus the shortest, as a share of the median.
    """

    seconds: float
    spread: float


def alternate(
    contenders: Sequence[Contender], rounds: int, seconds: float, clock: Callable[[], float] = time.perf_counter
) -> list[Timing]:
    """Measures the time of each contender, in turns.

    Args:
      contenders: those to measure. Each runs twice beforehand, since first runs are slower.
      rounds: how many turns each has.
      seconds: how long a turn lasts; no run is interrupted, so a turn may last longer.
      clock: seconds since some moment.
    """
    counts = [_calls(contender, seconds, clock) for contender in contenders]
    times = [[] for _ in contenders]
    for _ in range(rounds):
        for contender, count, own in zip(contenders, counts, times, strict=True):
            time.sleep(REST)
            own.append(_once(contender, count, clock))
    return [summary(own) for own in times]


def summary(times: Sequence[float]) -> Timing:
    """Returns the median of times, and how far they lie apart."""
    median = statistics.median(times)
    return Timing(median, (max(times) - min(times)) / median)


def _calls(contender: Contender, seconds: float, clock: Callable[[], float]) -> int:
    """Returns how many times a contender has to run to fill a turn."""
    _once(contender, 1, clock)
    return max(1, math.ceil(seconds / _once(contender, 1, clock)))


def _once(contender: Contender, count: int, clock: Callable[[], float]) -> float:
    contender.prepare()
    start = clock()
    contender.run(count)
    return (clock() - start) / count

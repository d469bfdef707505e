"""Turns errors of libraries and devices into one line for users."""

import math
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax

from jaxseg.run.memory import REMEDIES
from jaxseg.storage.retries import first_line, is_refused_by_bucket


class Explanation(NamedTuple):
    """A line for users, and the exit status of the command."""

    line: str
    status: int


def explain(error: BaseException) -> Explanation | None:
    """Returns one line for an error of a device or a worker, or None for other errors.

    Examples:
      >>> explain(RuntimeError("a worker ended with exit code -9")).line
      'a worker ended with exit code -9'
      >>> explain(KeyError("x")) is None
      True
    """
    if is_out_of_memory(error):
        return Explanation(_out_of_memory(str(error)), 2)
    if is_refused_by_bucket(error):
        remedy = "Check the URL, and give the credentials the rights to list, read, write and delete objects there."
        return Explanation(f"a bucket does not accept the credentials ({first_line(error)}). {remedy}", 2)
    if isinstance(error, MemoryError):
        return Explanation(f"this process is out of memory. {REMEDIES}.", 2)
    if isinstance(error, jax.errors.JaxRuntimeError) and jax.process_count() > 1:
        return Explanation(f"a device or another process of the run has failed: {_first_line(error)}", 1)
    if isinstance(error, RuntimeError) and ("worker" in str(error).lower() or "no batch came" in str(error)):
        return Explanation(" ".join(str(error).split())[:600], 1)
    return None


def check_finite(step: int, logs: Mapping[str, float], newest: Callable[[], int | None]) -> None:
    """Checks that the loss and the gradient of a step are finite.

    Args:
      step: the number of the step.
      logs: its numbers.
      newest: returns the newest step that is saved, or None.

    Raises:
      FloatingPointError: they are not.
    """
    for name in ("loss", "gradient_norm"):
        if not math.isfinite(logs[name]):
            good = newest()
            since = f"the checkpoint of step {good} is good" if good else "no checkpoint was saved yet"
            raise FloatingPointError(
                f"the {name} of step {step} is {logs[name]}; {since}. Lower optimizer.learning_rate, or set "
                "optimizer.clip_norm, and run the same command again."
            )


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether a device had no memory left."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)


def _out_of_memory(message: str) -> str:
    asked = re.search(r"allocat\w* (\d+ bytes|[\d.]+ ?[KMGT]?i?B)", message)
    size = f" when it asked for {asked[1]}" if asked else ""
    return (
        f"a device is out of memory{size}; {_device_memory()}. {REMEDIES}. Another process may hold "
        "memory of the device; nvidia-smi lists them."
    )


def _device_memory() -> str:
    """Describes the memory of the fullest device, as far as it tells."""
    statistics = [device.memory_stats() or {} for device in jax.local_devices()]
    known = [one for one in statistics if one.get("bytes_limit")]
    if not known:
        return "how much it has is unknown"
    fullest = max(known, key=lambda one: one.get("bytes_in_use", 0) / one["bytes_limit"])
    used, limit = fullest.get("bytes_in_use", 0) / (1 << 30), fullest["bytes_limit"] / (1 << 30)
    return f"{used:.2f} of the {limit:.2f} GiB for this process are in use"


def _first_line(error: BaseException) -> str:
    return f"{error}".strip().splitlines()[0][:300]

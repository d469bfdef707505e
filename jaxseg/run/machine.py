"""What a figure was measured on."""

import contextlib
import os
import platform
from collections.abc import Iterable
from importlib import metadata
from types import ModuleType

import jax


def device_name(devices: Iterable[jax.Device]) -> str:
    """Returns a name such as "2 x NVIDIA A100-SXM4-40GB", or a CPU's model and number of cores."""
    devices = list(devices)
    if devices[0].platform == "cpu":
        return f"{_processor()}, {available_cores()} cores"
    kind = devices[0].device_kind
    return kind if len(devices) == 1 else f"{len(devices)} x {kind}"


def available_cores() -> int:
    """Returns how many cores this process may use, as far as the system tells."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


def library_versions(frameworks: Iterable[ModuleType]) -> dict[str, str]:
    """Returns the versions of Python, of the main libraries and of the frameworks that jaxseg is compared with."""
    libraries = {name: metadata.version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy")}
    compared = {framework.__name__: str(framework.__version__) for framework in frameworks}
    return {"python": platform.python_version(), **libraries, **compared}


def _processor() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()

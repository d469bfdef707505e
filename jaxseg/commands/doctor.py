"""Prints what a bug report needs: versions, devices, memory and settings.

jaxseg doctor
jaxseg doctor > doctor.txt
jaxseg doctor --traceback
"""

import os
import platform
import shutil
import sys
from importlib import metadata

from jaxseg.commands import process
from jaxseg.commands.arguments import Parser

PACKAGES = (
    "jaxseg",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "ml-collections",
)
PLUGINS = ("jax-cuda12-plugin", "jax-cuda13-plugin", "libtpu")
SETTINGS = ("JAX_", "XLA_", "CUDA_VISIBLE_DEVICES", "LIBTPU_", "TPU_", "GLIBC_TUNABLES")
GIB = 2**30


def main(arguments: list[str]) -> None:
    """Prints one fact per line."""
    Parser("doctor", __doc__).parse(arguments)
    process.prepare()
    for name, value in [*software(), *machine(), *devices()]:
        print(f"{name}: {value}")


def software() -> list[tuple[str, str]]:
    """Returns the versions of Python and of the packages, and the settings of JAX."""
    found = [("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")]
    for name in (*PACKAGES, *PLUGINS):
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            if name not in PLUGINS:
                found.append((name, "not installed"))
    settings = {name: value for name, value in sorted(os.environ.items()) if name.startswith(SETTINGS)}
    return [*found, ("settings", " ".join(f"{name}={value!r}" for name, value in settings.items()) or "none")]


def machine() -> list[tuple[str, str]]:
    """Returns the number of usable cores, memory and free space."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = [("usable cores", str(cores))]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        found.append(("memory", f"{total / GIB:.1f} GiB"))
    return [*found, ("free space in this folder", f"{shutil.disk_usage('.').free / GIB:.1f} GiB")]


def devices() -> list[tuple[str, str]]:
    """Returns the devices that JAX finds, or why it finds none."""
    try:
        import jax

        found = jax.devices()
    except Exception as error:
        message = str(error).strip() or type(error).__name__
        print(f"jaxseg: JAX finds no devices: {message.splitlines()[0]}", file=sys.stderr)
        return [("devices", "none")]
    lines = []
    for device in found:
        limit = (device.memory_stats() or {}).get("bytes_limit")
        memory = f", {limit / GIB:.1f} GiB" if limit else ""
        lines.append((f"device {device.id}", f"{device.platform} {device.device_kind}{memory}"))
    return lines

"""Compares the memory that a compiled step needs with what there is, before the step runs."""

import pathlib
from collections.abc import Callable
from typing import Any

import jax

GIGA = 1 << 30
TIGHT = 0.85  # share of the available memory above which a run is warned
REMEDIES = (
    "Lower train.batch_size, or raise train.accumulate, which computes a batch in parts; or set remat=True or "
    "precision=bfloat16"
)


class CheckedStep:
    """A step that is compiled per shape of its batch, and checked before it first runs.

    Args:
      step: a jitted ``(state, batch) -> ...``.
      warn: called with a line if memory is tight.
      available: ``() -> bytes``, or None if unknown.

    Raises:
      ValueError: when the step is called and its program needs more memory than there is.
    """

    def __init__(
        self, step: Any, warn: Callable[[str], None], available: Callable[[], int | None] | None = None
    ) -> None:
        self._step, self._warn = step, warn
        self._available = available or available_memory
        self._programs: dict[tuple, Callable[..., Any]] = {}

    def __call__(self, state: Any, batch: Any) -> Any:
        shapes = tuple(leaf.shape for leaf in jax.tree.leaves(batch))
        if shapes not in self._programs:
            program = self._step.lower(state, batch).compile()
            if message := check_memory(needed_memory(program), self._available()):
                self._warn(message)
            self._programs[shapes] = program
        return self._programs[shapes](state, batch)


def check_memory(needed: int | None, available: int | None) -> str:
    """Returns a warning if a program nearly fills the memory, or "".

    Args:
      needed: bytes that the program allocates when it runs. None if unknown.
      available: bytes that are free for it. None if unknown.

    Raises:
      ValueError: the program needs more than there is.
    """
    if needed is None or available is None or needed <= TIGHT * available:
        return ""
    sizes = f"{needed / GIGA:.2f} GiB of memory beside its parameters and {available / GIGA:.2f} GiB are available"
    if needed > available:
        raise ValueError(f"the training step needs {sizes}. {REMEDIES}.")
    return f"memory is tight: the training step needs {sizes}. If the run is killed: {REMEDIES}."


def needed_memory(program: Any) -> int | None:
    """Returns the bytes that a compiled program allocates on each device when it runs; on CPUs, on all devices.

    Its arguments, such as parameters and the batch, are there already.
    """
    try:
        sizes = program.memory_analysis()
        new = sizes.temp_size_in_bytes + sizes.output_size_in_bytes - sizes.alias_size_in_bytes
    except (AttributeError, NotImplementedError, jax.errors.JaxRuntimeError):  # a backend that does not tell
        return None
    return new * (jax.local_device_count() if jax.default_backend() == "cpu" else 1)


def available_memory() -> int | None:
    """Returns the bytes that are free: of the fullest accelerator, or of this machine and its control group."""
    if jax.default_backend() == "cpu":
        return host_memory()
    statistics = [device.memory_stats() or {} for device in jax.local_devices()]
    free = [one["bytes_limit"] - one["bytes_in_use"] for one in statistics if "bytes_limit" in one]
    return min(free, default=None)


def host_memory(root: pathlib.Path = pathlib.Path("/")) -> int | None:
    """Returns the bytes that this process can still use, as the kernel and its control group say; None if unknown.

    Args:
      root: where ``proc`` and ``sys`` are; another folder serves tests.
    """
    found = []
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            found.append(int(line.split()[1]) * 1024)
    for folder in _control_groups(root):
        for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            total, current = _number(folder / limit), _number(folder / used)
            if total is not None and current is not None:
                found.append(total - current + _page_cache(folder))
    return max(min(found), 0) if found else None


def _control_groups(root: pathlib.Path) -> list[pathlib.Path]:
    """Returns the folders of this process's control groups and of all groups around them."""
    folders = []
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            top = root / "sys/fs/cgroup" / controllers
            inner = top / path.strip().lstrip("/")
            folders += [folder for folder in (inner, *inner.parents) if folder.is_relative_to(top)]
    return folders


def _page_cache(folder: pathlib.Path) -> int:
    """Returns the bytes of files that the kernel drops first when memory is needed."""
    names = ("inactive_file", "total_inactive_file")
    return max((int(line.split()[1]) for line in _lines(folder / "memory.stat") if line.split()[0] in names), default=0)


def _number(path: pathlib.Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def _lines(path: pathlib.Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []

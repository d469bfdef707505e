"""What a compiled program needs of the memory of a device, and what there is."""

import math
import pathlib
from collections.abc import Callable
from typing import Any

import jax

GB = 1e9
MOST_TRIALS = 6  # Compilations that the search for the largest batch may take, after the first.
REMEDIES = (
    "Lower train.batch_size, or set train.accumulate=auto, which computes the same batch in parts; or set remat=True "
    "or precision=bfloat16, or raise mesh.fsdp"
)


class CompiledStep:
    """A step that is compiled once per shape of its batch; the programs are kept.

    Args:
      step: a jitted ``(state, batch) -> ...``.
    """

    def __init__(self, step: Any) -> None:
        self._step = step
        self._programs: dict[Any, Callable[..., Any]] = {}

    def __call__(self, state: Any, batch: Any) -> Any:
        return self.program(state, batch)(state, batch)

    def program(self, state: Any, batch: Any) -> Any:
        """Returns the program for a state and a batch, which may be abstract arrays."""
        leaves, structure = jax.tree.flatten(batch)
        key = structure, tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)
        if key not in self._programs:
            self._programs[key] = self._step.lower(state, batch).compile()
        return self._programs[key]


def program_memory(program: Any) -> int | None:
    """Returns the bytes that a compiled program allocates on each device when it runs, beyond its arguments.

    Programs are counted where the backend tells their size. None where it tells nothing.
    """
    try:
        sizes = program.memory_analysis()
        new = sizes.temp_size_in_bytes + sizes.output_size_in_bytes - sizes.alias_size_in_bytes
        return new + sizes.generated_code_size_in_bytes
    except (AttributeError, NotImplementedError, jax.errors.JaxRuntimeError):
        return None


def held_bytes(tree: Any) -> int:
    """Returns the bytes that one device holds of abstract arrays with shardings."""
    return sum(math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def largest_that_fits(needed: Callable[[int], float], limit: float, fails: float = math.inf) -> int:
    """Searches the largest number of images that fits, by compiling; 0 where not even one does.

    Memory grows nearly in proportion to the images. So the next trial is where a straight line through the last two
    trials reaches the limit.

    Args:
      needed: compiles for a number of images and returns bytes.
      limit: bytes of a device.
      fails: a number that is known not to fit.
    """
    known = {1: needed(1)}
    if known[1] > limit:
        return 0
    fits, trial = 1, 2
    for _ in range(MOST_TRIALS):
        if fails - fits <= 1:
            break
        known[trial] = needed(trial)
        if known[trial] <= limit:
            fits = trial
        else:
            fails = trial
        other = max(count for count in known if count != trial)
        slope = (known[trial] - known[other]) / (trial - other)
        guess = int(trial + (limit - known[trial]) / slope) if slope > 0 else 2 * trial
        trial = int(min(max(guess, fits + 1), fails - 1, 64 * fits))
    return fits


def memory_limit(given: float) -> float | None:
    """Returns the bytes that a run may use on each device; None if nobody tells.

    Args:
      given: ``config.memory_limit``, in GB; 0 uses what is free.
    """
    if given:
        return given * GB
    free = available_memory()
    # The devices of a CPU share its memory.
    shares = jax.local_device_count() if jax.default_backend() == "cpu" else 1
    return None if free is None else free / shares


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

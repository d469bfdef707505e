"""What a compiled program needs of the memory of a device, and what there is."""

import math
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax

GB = 1e9
MOST_TRIALS = 6  # Compilations that the search for the largest batch may take, after the first.
FLAT_GROWTH = 8  # Factor from what fits to the next trial of that search, where memory does not grow with the images.
MOST_GROWTH = 64  # Largest factor from what fits to the next trial.
SMALLER_STEPS = "set remat=True or precision=bfloat16, raise mesh.fsdp, or take smaller images"
REMEDIES = (
    "Lower train.batch_size, or set train.accumulate=auto, which computes the same batch in parts; or " + SMALLER_STEPS
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


def largest_that_fits(
    needed: Callable[[int], float],
    limit: float,
    known: Mapping[int, float] | None = None,
    trials: float = MOST_TRIALS,
) -> int:
    """Searches the largest number of images that fits, by compiling; 0 where not even one does.

    Each trial lies between the largest number that fits and the smallest that fails. Memory grows nearly in proportion
    to the images, so the trial is where a straight line through two known numbers reaches the limit. A line can be
    wrong: where it leads to what fails, or three trials leave more than half of the range, the middle is next.

    Args:
      needed: compiles for a number of images and returns bytes; infinity where the compiler refuses them.
      limit: bytes of a device.
      known: bytes of numbers of images that need no trial. 0 images need what does not depend on the batch.
      trials: how often ``needed`` may be called, after the first time. Infinity searches to the end.

    Example:
      >>> tried = []
      >>> largest_that_fits(lambda count: tried.append(count) or 100 + 10 * count, 1000, known={0: 100, 8: 180})
      90
      >>> tried
      [90, 91]
    """
    known = known or {}
    sizes = dict(known)
    ranges = [math.inf, math.inf, math.inf]  # The distance from what fits to what fails, before each trial.
    while True:
        fits = max((images for images, size in sizes.items() if size <= limit), default=0)
        fails = min((images for images, size in sizes.items() if size > limit), default=math.inf)
        if fails - fits <= 1 or len(sizes) - len(known) > trials:
            return fits
        if fits not in sizes:
            guess = 1.0
        elif sizes.get(fails, math.inf) < math.inf:
            guess = _crossing(sizes, fits, int(fails), limit)
        else:  # Nothing fails yet, or nobody tells how much it needs.
            line = _crossing(sizes, min(sizes), fits, limit)
            guess = FLAT_GROWTH * fits if line == math.inf else line
        if fails == math.inf:
            guess = min(guess, MOST_GROWTH * max(fits, 1))
        elif guess >= fails or fails - fits > ranges[-3] / 2:
            guess = (fits + fails) / 2
        trial = int(min(max(guess, fits + 1), fails - 1))
        sizes[trial] = needed(trial)
        ranges.append(fails - fits)


def _crossing(sizes: Mapping[int, float], low: int, high: int, limit: float) -> float:
    """Returns the number of images at which a line through two known ones reaches the limit; infinity if it is flat."""
    rise = sizes[high] - sizes[low]
    return low + (limit - sizes[low]) * (high - low) / rise if rise > 0 else math.inf


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

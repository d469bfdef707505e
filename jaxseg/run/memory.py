"""What a compiled program needs of the memory of a device, and what there is."""

import math
import pathlib
from collections.abc import Callable, Mapping
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


def largest_that_fits(
    needed: Callable[[int], float],
    limit: float,
    known: Mapping[int, float] | None = None,
    trials: float = MOST_TRIALS,
) -> int:
    """Searches the largest number of images that fits, by compiling; 0 where not even one does.

    Memory grows nearly in proportion to the images. So the next trial is where a straight line through two known
    numbers reaches the limit. Where lines are wrong or halve the range too slowly, the middle is tried.

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
    known, widths, step, tried = dict(known or {}), [math.inf] * 3, 1, 0
    while True:
        fits = max((images for images, size in known.items() if size <= limit), default=0)
        fails = min((images for images, size in known.items() if size > limit), default=math.inf)
        if fails - fits <= 1 or tried > trials:
            return fits
        trial = _next_trial(known, limit, fits, fails)
        wrong = trial >= fails
        if trial <= fits:  # The line says that no more fit. One more tells whether it is right.
            trial, wrong, step = fits + step, step > 1, 2 * step
            if wrong:
                longest = {count: known[count] for count in (min(known), fits)}
                trial = max(trial, _next_trial(longest, limit, fits, fails))
        if fails < math.inf and (wrong or fails - fits > widths[-3] / 2):
            trial = (fits + int(fails)) // 2
        widths.append(fails - fits)
        known[trial] = needed(trial)
        step = step if known[trial] <= limit else 1
        tried += 1


def _next_trial(known: Mapping[int, float], limit: float, fits: int, fails: float) -> int:
    """Returns the number of images at which a line through the two known numbers next to the limit reaches it."""
    points = [images for images, size in known.items() if size < math.inf]
    points = sorted(points, key=lambda images: (abs(known[images] - limit), -images))
    if fits and fails in points:
        points = [fits, int(fails)]
    if len(points) < 2:
        return 2 * fits or 1
    low, high = sorted(points[:2])
    slope = (known[high] - known[low]) / (high - low)
    guess = low + (limit - known[low]) / slope if slope > 0 else fits
    return int(min(guess, fails, 64 * fits if fits and fails == math.inf else math.inf))


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

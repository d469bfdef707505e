"""Reads the text of a compiled program: arrays, loops, kernels, bytes moved and the compiler's cycle estimates."""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

SIZES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2, "f32": 4, "s32": 4, "u32": 4, "f64": 8}
_ARRAY = re.compile(rf"\b({'|'.join(SIZES)}|s64|u64)\[([\d,]*)\]")
_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{")
INSTRUCTION = re.compile(r"\s*(?:ROOT )?%?([\w.\-]+) = (.*?) ([\w\-]+)\((.*?)\)")
_WHILE = re.compile(r" while\(.*body=%?([\w.\-]+)")
_TRIPS = re.compile(r'known_trip_count":\{"n":"(\d+)"')
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
KERNELS = ("fusion", "custom-call", "copy", "sort", "scatter", "gather", "convolution", "dot")


class Cost(NamedTuple):
    """What a program costs by its text.

    Attributes:
      cycles: the compiler's estimate, loops included; 0 where the compiler gives none.
      kernels: launches of the entry computation.
      loops: number of loops in the entry computation.
      moved: bytes that the kernels of the entry computation read and write.
    """

    cycles: int
    kernels: int
    loops: int
    moved: int


def arrays_in(text: str) -> Iterator[tuple[tuple[int, ...], int]]:
    """Yields shape and bytes of every array type in a text.

    Example:
      >>> list(arrays_in("(f32[2,3]{1,0}, bf16[])"))
      [((2, 3), 24), ((), 2)]
    """
    for dtype, sides in _ARRAY.findall(text):
        shape = tuple(int(side) for side in sides.split(",") if side)
        yield shape, SIZES.get(dtype, 8) * math.prod(shape)


def program_cost(program: str) -> Cost:
    """Returns what the text of a compiled program says of its cost."""
    computations, entry = _computations(program)
    lines = computations.get(entry, [])
    shapes: dict[str, int] = {}
    kernels = moved = 0
    for line in lines:
        if not (found := INSTRUCTION.match(line)):
            continue
        name, result, operation, operands = found.groups()
        shapes[name] = sum(size for _, size in arrays_in(result))
        if operation in KERNELS:
            kernels += 1
            moved += shapes[name] + sum(shapes.get(each.strip().lstrip("%"), 0) for each in operands.split(","))
    loops = sum(bool(_WHILE.search(line)) for line in lines)
    return Cost(_cycles(computations, entry), kernels, loops, moved)


def _computations(program: str) -> tuple[dict[str, list[str]], str]:
    """Returns the lines of each computation by name, and the name of the entry computation."""
    computations: dict[str, list[str]] = {}
    current = entry = ""
    for line in program.splitlines():
        if head := _HEAD.match(line):
            current = head[2]
            computations[current] = []
            entry = current if head[1] else entry
        elif current:
            computations[current].append(line)
    return computations, entry


def _cycles(computations: dict[str, list[str]], name: str) -> int:
    """Returns the estimated cycles of a computation; a loop counts as often as it is known to run, or once."""
    total = 0
    for line in computations.get(name, []):
        total += sum(map(int, _CYCLES.findall(line)))
        if loop := _WHILE.search(line):
            trips = _TRIPS.search(line)
            total += _cycles(computations, loop[1]) * (int(trips[1]) if trips else 1)
    return total

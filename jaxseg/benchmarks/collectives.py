"""Reads what a compiled program sends between devices, and tells gradients and statistics from feature maps."""

import math
import re
from typing import NamedTuple

from jaxseg.benchmarks.program_text import INSTRUCTION, arrays_in

_COLLECTIVE = re.compile(
    r"= (.*?) (all-reduce|all-gather|reduce-scatter|collective-permute|all-to-all)(?:-start)?\((.*?)\)"
)
# What a TPU slice sends to other slices over the network; only "ALL_REDUCE" and the like, no host transfers.
_BETWEEN_SLICES = re.compile(r"= (.*?) send\(.*?megascale_transfer_type=\"(\w+)\"")
_OPERAND = re.compile(r"%([\w.\-]+)")
_OP_NAME = re.compile(r'op_name="([^"]*)"')
BETWEEN_SLICES = " between slices"
SUMS = ("all-reduce", "reduce-scatter")
# Instructions that pass one array on. Its own instruction says where it comes from.
_PASSING = ("bitcast", "convert", "copy", "get-tuple-element", "reshape")


class SentArray(NamedTuple):
    """One array of a collective.

    Attributes:
      shape: of what each device receives.
      size: bytes that each device receives.
      origin: JAX's name of the operation that made a summed array; "" where the program does not tell.
      sources: shapes of the arrays from which the program made a summed array, where each is known.
    """

    shape: tuple[int, ...]
    size: int
    origin: str = ""
    sources: tuple[tuple[int, ...], ...] = ()


class Collective(NamedTuple):
    """One communication between devices. XLA combines several into one, which then has several arrays.

    Attributes:
      kind: "all-reduce", "all-gather", "reduce-scatter", "collective-permute" or "all-to-all"; with " between slices"
        for what crosses the network that joins TPU slices.
      arrays: what each device receives.
    """

    kind: str
    arrays: tuple[SentArray, ...]

    @property
    def size(self) -> int:
        """Returns the bytes that each device receives."""
        return sum(array.size for array in self.arrays)


def find_collectives(program: str) -> list[Collective]:
    """Returns the collectives of a compiled program, each once, however often its loop runs."""
    definitions = _definitions(program)
    found = []
    for results, kind, operands in _COLLECTIVE.findall(program):
        arrays = [SentArray(shape, size) for shape, size in arrays_in(results)]
        if kind in ("all-gather", "collective-permute") and results.startswith("(") and len(arrays) > 1:
            # An asynchronous start returns its operands, its results and, on TPUs, two numbers.
            arrays = [array for array in arrays if array.shape] or arrays
            arrays = arrays[len(arrays) // 2 :]
        names = _OPERAND.findall(operands)
        if kind in SUMS and len(names) == len(arrays):
            arrays = [_with_origin(array, name, definitions) for array, name in zip(arrays, names, strict=True)]
        found.append(Collective(kind, tuple(arrays)))
    for results, kind in _BETWEEN_SLICES.findall(program):
        shape, size = next(arrays_in(results))
        found.append(Collective(kind.lower().replace("_", "-") + BETWEEN_SLICES, (SentArray(shape, size),)))
    return found


def moved_activations(collective: Collective, parameter_sizes: set[int]) -> Collective | None:
    """Returns the part of a collective that moves feature maps, or None where it moves none.

    Args:
      collective: the communication.
      parameter_sizes: number of elements of each parameter and of its part on a device.
    """
    if collective.kind == "all-reduce" + BETWEEN_SLICES:  # Sums of parts of gradients and statistics, padded to tiles.
        return None
    maps = tuple(array for array in collective.arrays if is_feature_map(array, parameter_sizes))
    return Collective(collective.kind, maps) if maps else None


def is_feature_map(array: SentArray, parameter_sizes: set[int]) -> bool:
    """Returns whether an array is a feature map, rather than a parameter, a gradient or a statistic.

    Two sums look like feature maps and are none. XLA packs vectors, such as the gradients of biases, into one array of
    whole tiles. It also splits the sum of a bias's gradient: over images and devices first, over positions last.

    Args:
      array: what a device receives.
      parameter_sizes: number of elements of each parameter and of its part on a device.

    Example:
      >>> kernel, feature_map = SentArray((3, 3, 8, 8), 2304), SentArray((2, 16, 16, 8), 16384)
      >>> is_feature_map(kernel, {8, 576}), is_feature_map(feature_map, {8, 576})
      (False, True)
    """
    if len(array.shape) < 3 or math.prod(array.shape) in parameter_sizes:
        return False
    if array.sources and all(len(shape) < 2 and math.prod(shape) in parameter_sizes | {1} for shape in array.sources):
        return False
    backward_sum = "transpose(" in array.origin and array.origin.endswith("/reduce_sum")
    return not backward_sum or array.shape[-1] not in parameter_sizes


def _definitions(program: str) -> dict[str, str]:
    """Returns the line of each instruction by its name."""
    found = (INSTRUCTION.match(line) for line in program.splitlines())
    return {match[1]: match.string for match in found if match}


def _with_origin(array: SentArray, name: str, definitions: dict[str, str]) -> SentArray:
    """Returns a summed array with its origin and sources.

    Args:
      array: the array without them.
      name: the instruction that makes the operand.
      definitions: the line of each instruction by its name.
    """
    while definition := INSTRUCTION.match(definitions.get(name, "")):
        _, _, operation, operands = definition.groups()
        sources = _OPERAND.findall(operands)
        named = _OP_NAME.search(definition.string)
        summed = named is not None and named[1].endswith("/reduce_sum")
        if summed or operation not in _PASSING or len(sources) != 1:
            shapes = [_shape_of(source, definitions) for source in sources]
            known = tuple(shape for shape in shapes if shape is not None)
            return array._replace(origin=named[1] if named else "", sources=known if len(known) == len(shapes) else ())
        name = sources[0]
    return array


def _shape_of(name: str, definitions: dict[str, str]) -> tuple[int, ...] | None:
    """Returns the shape of an instruction's only result; None where it has several or is not there."""
    definition = INSTRUCTION.match(definitions.get(name, ""))
    shapes = [shape for shape, _ in arrays_in(definition[2])] if definition else []
    return shapes[0] if len(shapes) == 1 else None

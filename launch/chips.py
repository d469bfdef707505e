"""How long a step takes on a chip that keeps its vendor's promises, and how long many of them talk about it."""

import math
from typing import NamedTuple


class Chip(NamedTuple):
    """A chip as its vendor describes it.

    Attributes:
      flops: bfloat16 operations a second, dense.
      memory: bytes a second from its own memory.
      near: bytes a second that it sends to the others of its island, one way.
      island: chips that reach one another at that speed.
      far: bytes a second that it sends beyond.
    """

    flops: float
    memory: float
    near: float
    island: int
    far: float


# NVIDIA's data sheet of the H100 SXM, 8 to a machine with one 400 Gb/s adapter each; Google's pages of the TPU v5e and
# v5p, whose islands are whole slices.
CHIPS = {
    "H100": Chip(989e12, 3.35e12, 450e9, 8, 50e9),
    "TPU v5e": Chip(197e12, 819e9, 100e9, 256, 6.25e9),
    "TPU v5p": Chip(459e12, 2765e9, 300e9, 8960, 6.25e9),
}
LATENCY = 5e-6  # seconds that one hop of a collective takes at least; an assumption


class Counts(NamedTuple):
    """What the compiled step says of itself, for one device.

    Attributes:
      flops: operations of a step.
      touched: bytes that its operations read and write; fusion on other chips makes them fewer.
      gradients: bytes of the gradients, which are those of the parameters that learn.
      norms: how many layers average statistics over the batch.
    """

    flops: float
    touched: float
    gradients: float
    norms: int


def seconds_of_computing(counts: Counts, chip: Chip) -> float:
    """``max(operations / peak, bytes / bandwidth)``: whichever of the two the chip is slower at."""
    return max(counts.flops / chip.flops, counts.touched / chip.memory)


def seconds_of_all_reduce(size: float, devices: int, chip: Chip) -> float:
    """A ring within each island, then one between islands over what the first has left to each chip.

    A ring of n sends ``2 (n - 1) / n`` of the bytes and takes at least ``2 log2(n)`` hops.
    """
    near, far = min(devices, chip.island), math.ceil(devices / chip.island)
    within = 2 * (near - 1) / near * size / chip.near
    between = 2 * (far - 1) / far * (size / near) / chip.far
    return within + between + 2 * math.log2(devices) * LATENCY


def seconds_of_communicating(counts: Counts, devices: int, chip: Chip) -> float:
    """The gradients' sum, and for each norm one small sum forwards and one backwards."""
    gradients = seconds_of_all_reduce(counts.gradients, devices, chip)
    return gradients + 2 * counts.norms * seconds_of_all_reduce(0, devices, chip)

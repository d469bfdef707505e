"""Machines that programs are compiled for from afar: what vendors promise, and device topologies.

Vendors' numbers: NVIDIA's data sheets of H100 SXM and H200 SXM, Google's pages of TPU v5e, v5p, v6e and
TPU7x. GPUs: dense bfloat16, NVLink, one 400 Gb/s adapter each. ``clock`` is the rate of the compiler's cycle estimates.
"""

import importlib.resources
import importlib.util
import math
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # jax reads the variables of prepare_process when it is imported
    import jax

GB = 1e9


class Chip(NamedTuple):
    """One device as its vendor describes it.

    Attributes:
      platform: "tpu", "cuda" or "cpu".
      memory: bytes of its own memory.
      flops: dense bfloat16 operations per second.
      bandwidth: bytes per second from its own memory.
      near: bytes per second to the other devices of its island, one way.
      island: number of devices that reach one another at that speed.
      far: bytes per second beyond the island.
      clock: cycles per second; 0 where it is not published.
    """

    platform: str
    memory: float
    flops: float
    bandwidth: float
    near: float
    island: int
    far: float
    clock: float = 0.0


CHIPS = {
    "h100": Chip("cuda", 80 * GB, 989e12, 3.35e12, 450e9, 8, 50e9),
    "h200": Chip("cuda", 141 * GB, 989e12, 4.8e12, 450e9, 8, 50e9),
    "v5e": Chip("tpu", 16 * GB, 197e12, 819e9, 100e9, 256, 6.25e9, 1.5e9),
    "v5p": Chip("tpu", 95 * GB, 459e12, 2765e9, 300e9, 8960, 6.25e9),
    "v6e": Chip("tpu", 32 * GB, 918e12, 1640e9, 224e9, 256, 6.25e9),
    "7x": Chip("tpu", 96 * GB, 1153.5e12, 3690e9, 300e9, 9216, 6.25e9),  # Each chip of 192 GB has two devices.
    "cpu": Chip("cpu", math.inf, math.nan, math.nan, math.nan, 1, math.nan),
}
TPU_NAMES = {"7x": "tpu7x"}
FORMS = "v5e:4x4, v5p:2x2x2, v6e:2x4, 7x:2x2x1, h100:8, h200:1 or cpu:8"


class Machine(NamedTuple):
    """Devices of one kind that share a program.

    Attributes:
      name: as it was typed, such as "v5e:4x4".
      kind: key of ``CHIPS``.
      shape: sides of a TPU slice, or one number of GPUs or CPU devices.
      slices: number of TPU slices, connected by the data center's network.
      limit: bytes of memory that a device may use, if less than it has.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    slices: int = 1
    limit: float = math.inf

    @property
    def chip(self) -> Chip:
        """Returns one of its devices, with the memory that may be used."""
        chip = CHIPS[self.kind]
        return chip._replace(memory=min(chip.memory, self.limit))


def parse_machine(text: str, slices: int = 1) -> Machine:
    """Returns the machine that a text names.

    Args:
      text: kind and shape, such as "v5e:4x4" or "h100:8"; without a shape, one device or the smallest slice.
      slices: number of TPU slices.

    Raises:
      ValueError: an unknown kind, or a shape that it does not have.

    Example:
      >>> parse_machine("v5e:4x4").shape
      (4, 4)
      >>> parse_machine("h100").shape
      (1,)
    """
    kind, _, shape = text.lower().partition(":")
    if kind not in CHIPS or not re.fullmatch(r"(\d+(x\d+)*)?", shape):
        raise ValueError(f"--on is {text!r}; expected a machine such as {FORMS}.")
    tpu = CHIPS[kind].platform == "tpu"
    smallest = {"v5e": "2x2", "v6e": "2x2"}.get(kind, "2x2x1") if tpu else "1"
    sides = tuple(map(int, (shape or smallest).split("x")))
    axes = len(smallest.split("x"))
    if len(sides) != axes or min(sides) < 1:
        raise ValueError(f"--on is {text!r}; expected {axes} side(s) for {kind}, such as {kind}:{smallest}.")
    if tpu and math.prod(sides) > CHIPS[kind].island:
        raise ValueError(f"--on is {text!r}; expected at most {CHIPS[kind].island} chips, the largest slice of {kind}.")
    if slices > 1 and not tpu:
        raise ValueError(f"--slices is {slices}; expected 1 for {kind}. Only TPU slices are joined over a network.")
    return Machine(text, kind, sides, slices)


def topology_devices(machine: Machine) -> "Sequence[jax.Device]":
    """Returns devices to compile for; they cannot run anything, except those of a CPU.

    Raises:
      ValueError: the compiler for the machine is not installed, or it does not know the shape.
    """
    import jax

    platform = machine.chip.platform
    if platform == "cpu":
        return jax.devices("cpu")[: machine.shape[0]]
    from jax.experimental import topologies

    try:
        if platform == "cuda":
            target = importlib.resources.files("jaxseg.benchmarks").joinpath(f"{machine.kind}.txt").read_text()
            layout = f"1x1x{machine.shape[0]}"
            return topologies.get_topology_desc(platform="cuda", target_config=target, topology=layout).devices
        name = f"{TPU_NAMES.get(machine.kind, machine.kind)}:{'x'.join(map(str, machine.shape))}"
        options = {"num_slices": machine.slices} if machine.slices > 1 else {}
        return topologies.get_topology_desc(name, platform="tpu", **options).devices
    except Exception as error:  # plug-ins raise different types where they are missing or refuse a shape
        extra = "plan-tpu" if platform == "tpu" else "plan-gpu"
        reason = str(error).splitlines()[0][:200]
        found = importlib.util.find_spec("libtpu" if platform == "tpu" else "jax_cuda12_plugin")
        remedy = "Choose" if found else f"Install the compiler with pip install 'jaxseg[{extra}]', or choose"
        raise ValueError(
            f"--on is {machine.name!r}, for which nothing can be compiled ({reason}). {remedy} a shape such as {FORMS}."
        ) from None


def prepare_process(machine: Machine) -> None:
    """Sets the environment in which JAX compiles for a machine; works only before jax is imported."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("TPU_STDERR_LOG_LEVEL", "3")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-1")  # Any name; otherwise libtpu complains.
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")  # Nothing runs on a TPU, so several may compile at once.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")  # The libraries are here, but no driver is.
    flags = [os.environ.get("XLA_FLAGS", "")]
    if machine.kind == "cpu" and machine.shape[0] > 1:
        flags.append(f"--xla_force_host_platform_device_count={machine.shape[0]}")
    if machine.chip.platform == "cuda":
        # Triton's tiles are chosen by measuring. Without a GPU, the default tiles fail for odd shapes.
        flags.append("--xla_gpu_enable_triton_gemm=false")
    os.environ["XLA_FLAGS"] = " ".join(flags).strip()


def all_reduce_seconds(size: float, devices: int, chip: Chip) -> float:
    """Returns the least time of a sum over devices: a ring within each island, then one between islands.

    A ring of n sends ``2 (n - 1) / n`` of the bytes. Latency is left out.

    Args:
      size: bytes per device.
      devices: number of devices.
      chip: what the devices are.
    """
    near, islands = min(devices, chip.island), math.ceil(devices / chip.island)
    within = 2 * (near - 1) / near * size / chip.near
    return within + 2 * (islands - 1) / islands * (size / near) / chip.far

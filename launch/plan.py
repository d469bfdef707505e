"""What a config would take on many devices: computes the tables of launch/README.md.

    python launch/plan.py --config configs/unet_pets.py --images 8    # step time and communication, 8 to 4096 devices
    python launch/plan.py --config configs/unet_pets.py --meshes      # what each device of a mesh of 8 holds and gets

Nothing is run. The training step is compiled for the CPU, and its own counts of operations and bytes are divided by
what a chip's vendor says that it can do, so the times are those of perfect hardware: computed, not measured.
"""

import argparse
import ast
import importlib.util
import math
import os
import pathlib
import re
import sys
from typing import NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"

import jax
import numpy as np


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
      parameters: bytes of the parameters, which are those of their gradients too.
      norms: how many layers average statistics over the batch.
    """

    flops: float
    touched: float
    parameters: float
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
    gradients = seconds_of_all_reduce(counts.parameters, devices, chip)
    return gradients + 2 * counts.norms * seconds_of_all_reduce(0, devices, chip)


def collective_bytes(program: str) -> dict[str, int]:
    """The bytes that each kind of communication in a compiled program delivers to a device, by kind."""
    sizes = {"f32": 4, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "u8": 1, "s8": 1, "pred": 1}
    pattern = r"= (.*?) (all-reduce|all-gather|reduce-scatter|collective-permute|all-to-all)(?:-start)?\("
    total: dict[str, int] = {}
    for results, kind in re.findall(pattern, program):
        for dtype, shape in re.findall(r"(\w+)\[([\d,]*)\]", results):
            elements = math.prod(map(int, filter(None, shape.split(","))))
            total[kind] = total.get(kind, 0) + sizes.get(dtype, 4) * elements
    return total


def compiled_step(
    path: str, images: int, mesh: tuple[int, int, int], fields: dict
) -> tuple[jax.stages.Compiled, object]:
    """A config's training step for so many images a device, compiled; and its experiment."""
    from jaxseg import sharding
    from jaxseg.data.sources import open_source
    from jaxseg.experiment import build, resolve
    from jaxseg.types import Batch

    spec = importlib.util.spec_from_file_location("planned", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config()
    config.data.name, config.data.source_dir, config.data.splits = "shapes", "", "official"  # whose images are at hand
    config.data.test = ""
    config.loss.class_weights = ()
    config.mesh = dict(zip(sharding.AXES, mesh, strict=True))
    config.train.batch_size = images * mesh[0] * mesh[1]
    config.train.steps = 1000
    config.update_from_flattened_dict(fields)
    config = resolve(config, None)
    source = open_source(config.data, config.data.train)
    experiment = build(config, source.class_names, source.palette, jax.devices()[: math.prod(mesh)])
    shape = (config.train.batch_size, *config.data.image_size)
    placed = [
        jax.ShapeDtypeStruct(size, dtype, sharding=sharding.batch_sharding(experiment.mesh, len(size)))
        for size, dtype in (((*shape, 3), np.uint8), (shape, np.uint8), (shape[:1], bool))
    ]
    return experiment.steps.train.lower(experiment.steps.abstract_state, Batch(*placed)).compile(), experiment


def counts_of(compiled: jax.stages.Compiled, experiment: object) -> Counts:
    """What a compiled step and its state say of themselves."""
    cost, state = compiled.cost_analysis(), experiment.steps.abstract_state
    parameters = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state.params))
    return Counts(cost["flops"], cost["bytes accessed"], parameters, len(jax.tree.leaves(state.batch_stats)) // 2)


def print_plan(path: str, images: int, fields: dict) -> None:
    """Step time and communication on 8 to 4096 devices."""
    counts = counts_of(*compiled_step(path, images, (1, 1, 1), fields))
    print(
        f"{path}, {images} images a device: a step has {counts.flops / 1e12:.3f} TFLOP and touches "
        f"{counts.touched / 1e9:.2f} GB; {counts.parameters / 1e6:.1f} MB of parameters, {counts.norms} norms\n"
    )
    print("| chip | devices | computing, ms | communicating, ms | share if nothing overlaps | images/s |")
    print("|---|---|---|---|---|---|")
    for name, chip in CHIPS.items():
        for devices in (8, 64, 512, 4096):
            computing = seconds_of_computing(counts, chip)
            communicating = seconds_of_communicating(counts, devices, chip)
            step = computing + communicating
            print(
                f"| {name} | {devices} | {computing * 1e3:.2f} | {communicating * 1e3:.2f} | "
                f"{communicating / step:.0%} | {images * devices / step:,.0f} |"
            )


def print_meshes(path: str, images: int, fields: dict) -> None:
    """What a device of each of a few meshes of 8 holds, computes and receives, compiled for virtual devices."""
    print("| data x fsdp x spatial | state, KB | TFLOP a step | received a step |")
    print("|---|---|---|---|")
    for mesh in ((1, 1, 1), (8, 1, 1), (1, 8, 1), (4, 2, 1), (2, 2, 2), (4, 1, 2)):
        compiled, experiment = compiled_step(path, images, mesh, fields)
        held = sum(
            math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
            for leaf in jax.tree.leaves(experiment.steps.abstract_state)
        )
        received = ", ".join(
            f"{kind} {size / 1e3:.0f} KB" for kind, size in collective_bytes(compiled.as_text()).items()
        )
        flops = compiled.cost_analysis()["flops"]
        print(f"| {' x '.join(map(str, mesh))} | {held / 1e3:.0f} | {flops / 1e12:.5f} | {received or 'nothing'} |")


def main() -> None:
    """Prints the table that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="a semantic experiment")
    parser.add_argument("--images", type=int, default=8, help="a device")
    parser.add_argument("--meshes", action="store_true", help="compare meshes of 8 instead")
    parser.add_argument("fields", nargs="*", help="fields of the config, such as model.features=16")
    arguments = parser.parse_args()
    fields = {name: ast.literal_eval(value) for name, value in (field.split("=") for field in arguments.fields)}
    (print_meshes if arguments.meshes else print_plan)(arguments.config, arguments.images, fields)


if __name__ == "__main__":
    main()

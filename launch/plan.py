"""What a config would take on many devices: computes the tables of launch/README.md.

    # Step time and communication on 8 to 4096 devices:
    python launch/plan.py --config configs/unet_pets.py --classes 3 --images 8
    python launch/plan.py --config configs/mask_rcnn_coco.py --classes 91 --images 2
    # What each device of a mesh of 8 holds and gets:
    python launch/plan.py --config configs/unet_pets.py --classes 3 --images 2 --meshes

Nothing is run, and no data is read. The training step is compiled for the CPU, and its own counts of operations and
bytes are divided by what a chip's vendor says that it can do, so the times are those of perfect hardware: computed, not
measured. XLA counts what stands within a loop once, however often the loop goes round.
"""

import argparse
import ast
import importlib.util
import math
import os
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"

import jax
import ml_collections
import numpy as np
from chips import CHIPS, Counts, seconds_of_communicating, seconds_of_computing
from flax.traverse_util import flatten_dict

from jaxseg.data.instances.batches import padded_sizes
from jaxseg.data.instances.packing import empty_batch
from jaxseg.parallel import mesh as sharding
from jaxseg.run.experiment import Experiment, build, resolve
from jaxseg.types import Batch, InstanceBatch


def planned(path: str, fields: dict) -> ml_collections.ConfigDict:
    """A config file's config, some of its fields changed."""
    spec = importlib.util.spec_from_file_location("planned", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config()
    config.update_from_flattened_dict(fields)
    config.train.steps = 100_000  # without them they would follow from the data
    return config


def compiled_step(
    config: ml_collections.ConfigDict, classes: int, images: int, mesh: tuple[int, int, int]
) -> tuple[jax.stages.Compiled, Experiment]:
    """A config's training step for so many images a device, compiled; and its experiment."""
    config.mesh = dict(zip(sharding.AXES, mesh, strict=True))
    config.train.batch_size = images * mesh[0] * mesh[1]
    names, palette = tuple(map(str, range(classes))), np.zeros((classes, 3), np.uint8)
    experiment = build(resolve(config, None), names, palette, jax.devices()[: math.prod(mesh)])
    lowered = experiment.steps.train.lower(experiment.steps.abstract_state, abstract_batch(experiment))
    return lowered.compile(), experiment


def abstract_batch(experiment: Experiment) -> Batch | InstanceBatch:
    """The shapes of a batch of the largest images that the config's training has."""
    config = experiment.config
    rows, data = config.train.batch_size, config.data
    if config.task == "instances":
        one = empty_batch(1, max(padded_sizes(data, training=True), key=math.prod), data.max_objects)
    else:
        size = (1, *data.crop_size)
        weight = np.zeros(size, np.float32) if data.border_weight else None
        one = Batch(np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8), np.ones(1, bool), weight)

    def abstract(array):
        layout = sharding.batch_sharding(experiment.mesh, array.ndim)
        return jax.ShapeDtypeStruct((rows, *array.shape[1:]), array.dtype, sharding=layout)

    return jax.tree.map(abstract, one)


def counts_of(compiled: jax.stages.Compiled, experiment: Experiment) -> Counts:
    """What a compiled step and its state say of themselves."""
    cost, state = compiled.cost_analysis(), experiment.steps.abstract_state
    parameters = flatten_dict(state.params, sep="/").items()
    learning = [leaf for name, leaf in parameters if not name.startswith(experiment.task.model.frozen)]
    gradients = sum(leaf.size * leaf.dtype.itemsize for leaf in learning)
    statistics = flatten_dict(state.batch_stats)
    frozen = {path[:-1] for path in statistics if path[-1] == "scale"}  # which is a parameter where norms are live
    live = {path[:-1] for path in statistics} - frozen
    return Counts(cost["flops"], cost["bytes accessed"], gradients, len(live))


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


def print_plan(config: ml_collections.ConfigDict, classes: int, images: int) -> None:
    """Step time and communication on 8 to 4096 devices."""
    counts = counts_of(*compiled_step(config, classes, images, (1, 1, 1)))
    print(
        f"{images} images a device: a step has {counts.flops / 1e12:.3f} TFLOP and touches "
        f"{counts.touched / 1e9:.2f} GB; {counts.gradients / 1e6:.1f} MB of gradients, {counts.norms} live norms\n"
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


def print_meshes(config: ml_collections.ConfigDict, classes: int, images: int) -> None:
    """What a device of each of a few meshes of 8 holds, computes and receives, compiled for virtual devices."""
    print("| data x fsdp x spatial | state, KB | TFLOP a step | received a step |")
    print("|---|---|---|---|")
    for mesh in ((1, 1, 1), (8, 1, 1), (1, 8, 1), (4, 2, 1), (2, 2, 2), (4, 1, 2)):
        if mesh[2] > 1 and config.task != "semantic":
            continue  # a detector does not divide its images
        compiled, experiment = compiled_step(config, classes, images, mesh)
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
    parser.add_argument("--config", required=True, help="the experiment")
    parser.add_argument("--classes", type=int, required=True, help="of its data set, a detector's background too")
    parser.add_argument("--images", type=int, default=8, help="a device")
    parser.add_argument("--meshes", action="store_true", help="compare meshes of 8 instead")
    parser.add_argument("fields", nargs="*", help="fields of the config, such as model.features=16")
    arguments = parser.parse_args()
    fields = {name: ast.literal_eval(value) for name, value in (field.split("=") for field in arguments.fields)}
    show = print_meshes if arguments.meshes else print_plan
    show(planned(arguments.config, fields), arguments.classes, arguments.images)


if __name__ == "__main__":
    main()

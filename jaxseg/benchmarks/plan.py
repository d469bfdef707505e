"""Compiles a config's steps for a machine that one does not have, and says what they need there.

All times are estimates or bounds: the compiler's own cycle estimate where it gives one (TPU), and the roofline
``max(operations / peak, bytes / bandwidth)``. Nothing is run and no data is read.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from jaxseg.benchmarks.collectives import BETWEEN_SLICES, Collective, find_collectives, moved_activations
from jaxseg.benchmarks.flops import count_flops
from jaxseg.benchmarks.jaxseg_steps import as_predict_takes
from jaxseg.benchmarks.machines import Machine, all_reduce_seconds
from jaxseg.benchmarks.program_text import program_cost
from jaxseg.benchmarks.random_batches import image_sizes, random_batch, random_training_batch
from jaxseg.config.resolution import microbatches
from jaxseg.parallel import mesh as meshes
from jaxseg.run.experiment import Experiment, build, resolve
from jaxseg.run.memory import held_bytes, largest_that_fits


class Memory(NamedTuple):
    """Bytes that one device needs at once.

    Attributes:
      parameters: parameters and running statistics, with their averages where the run keeps them.
      optimizer: state of the optimizer.
      batch: images, labels and other inputs.
      activations: everything between inputs and results.
      program: machine code.
    """

    parameters: int
    optimizer: int
    batch: int
    activations: int
    program: int

    @property
    def total(self) -> int:
        """Returns the sum of all kinds."""
        return sum(self)


class StepPlan(NamedTuple):
    """One compiled step on one machine.

    Attributes:
      what: "train" or "predict".
      mesh: devices over ``data``, ``fsdp`` and ``spatial``.
      images: images per device.
      memory: what a device needs.
      collectives: communications of the program.
      activations_moved: the parts of them that move feature maps.
      estimate: seconds by the compiler's own cost model; None where it gives none.
      roofline: seconds that operations and bytes take at least.
      communication: seconds that the collectives take at least, without latency.
      compile_seconds: tracing and compiling, on the machine that compiled.
    """

    what: str
    mesh: tuple[int, int, int]
    images: int
    memory: Memory
    collectives: list[Collective]
    activations_moved: list[Collective]
    estimate: float | None
    roofline: float
    communication: float
    compile_seconds: float


def plan_step(
    config: ml_collections.ConfigDict,
    classes: int,
    machine: Machine,
    devices: Sequence[jax.Device],
    images: int,
    what: str = "train",
) -> StepPlan:
    """Compiles one step of a config for a machine.

    Args:
      config: the experiment; ``config.mesh`` divides the devices.
      classes: number of classes, with a detector's background.
      machine: what is compiled for.
      devices: its devices, see ``machines.topology_devices``.
      images: images per device.
      what: "train" or "predict".

    Raises:
      ValueError: the config does not fit the devices.
    """
    experiment = build_on(config, classes, devices, images)
    function, arguments = _STEPS[what](experiment)
    start = time.perf_counter()
    compiled = function.lower(*arguments).compile()
    seconds = time.perf_counter() - start
    text, chip, count = compiled.as_text(), machine.chip, len(devices)
    collectives, cost, sizes = find_collectives(text), program_cost(text), parameter_sizes(experiment)
    operations = count_flops(function, *arguments) / count
    return StepPlan(
        what=what,
        mesh=tuple(experiment.mesh.shape[axis] for axis in meshes.AXES),
        images=images,
        memory=memory_of(compiled, experiment.steps.abstract_state, arguments[1:]),
        collectives=collectives,
        activations_moved=[moved for each in collectives if (moved := moved_activations(each, sizes))],
        estimate=cost.cycles / chip.clock if cost.cycles and chip.clock else None,
        roofline=max(operations / chip.flops, cost.moved / chip.bandwidth),
        communication=sum(communication_seconds(each, machine, count) for each in collectives),
        compile_seconds=seconds,
    )


def communication_seconds(collective: Collective, machine: Machine, devices: int) -> float:
    """Returns the least seconds of a collective, as if it were a sum over all devices of a slice."""
    if collective.kind.endswith(BETWEEN_SLICES):
        return collective.size / machine.chip.far
    return all_reduce_seconds(collective.size, devices // machine.slices, machine.chip) if devices > 1 else 0.0


def build_on(config: ml_collections.ConfigDict, classes: int, devices: Sequence[jax.Device], images: int) -> Experiment:
    """Returns the experiment of a config on given devices, with ``images`` per device in a batch."""
    config = config.copy_and_resolve_references()
    shape = dict(meshes.make_mesh(config.mesh, devices).shape)
    with config.unlocked():
        config.train.batch_size = images * shape["data"] * shape["fsdp"] * microbatches(config)
        config.train.steps = config.train.steps or 100_000  # The number of steps does not change the program.
    names, palette = tuple(map(str, range(classes))), np.zeros((classes, 3), np.uint8)
    return build(resolve(config, None), names, palette, devices)


def memory_of(compiled: Any, state: Any, inputs: Sequence[Any]) -> Memory:
    """Returns the memory of a compiled step by kind.

    Args:
      compiled: the program.
      state: abstract arrays of the state, with shardings.
      inputs: abstract arrays of the other arguments.
    """
    analysis = compiled.memory_analysis()
    parameters = held_bytes((state.params, state.batch_stats, state.ema))
    optimizer = held_bytes((state.opt_state, state.step))
    arguments = analysis.argument_size_in_bytes
    results = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    batch = min(held_bytes(inputs), arguments)
    unused = parameters + optimizer + batch > arguments  # Predictions do not take the state of the optimizer.
    return Memory(
        parameters=parameters,
        optimizer=0 if unused else optimizer,
        batch=batch,
        activations=analysis.temp_size_in_bytes + max(results, 0),
        program=analysis.generated_code_size_in_bytes,
    )


def parameter_sizes(experiment: Experiment) -> set[int]:
    """Returns the number of elements of each parameter and of its part on a device."""
    leaves = jax.tree.leaves(experiment.steps.abstract_state.params)
    parts = {math.prod(leaf.sharding.shard_shape(leaf.shape)) for leaf in leaves}
    return parts | {leaf.size for leaf in leaves}


def largest_batch(step: Callable[[int], StepPlan], limit: float) -> StepPlan | None:
    """Searches the largest number of images per device that fits, by compiling.

    Args:
      step: compiles the step for a number of images.
      limit: bytes of a device.

    Returns:
      The largest plan that fits, or None where not even one image does.
    """
    plans: dict[int, StepPlan] = {}

    def needed(count: int) -> int:
        plans[count] = step(count)
        return plans[count].memory.total

    return plans.get(largest_that_fits(needed, limit))


def mesh_shapes(count: int, *, semantic: bool) -> list[tuple[int, int, int]]:
    """Returns meshes worth comparing on a number of devices; detectors do not divide images."""
    shapes = [(count, 1, 1), (1, count, 1), (count // 2, 2, 1)]
    if semantic:
        shapes += [(count // 2, 1, 2), (count // 4, 2, 2)]
    return list(dict.fromkeys(shape for shape in shapes if min(shape) >= 1 and math.prod(shape) == count))


def _training(experiment: Experiment) -> tuple[Any, tuple[Any, ...]]:
    batch = _abstract(experiment, random_batch_of(experiment, training=True))
    return experiment.steps.train, (experiment.steps.abstract_state, batch)


def _prediction(experiment: Experiment) -> tuple[Any, tuple[Any, ...]]:
    inputs = as_predict_takes(experiment.config, random_batch_of(experiment, training=False))
    return experiment.steps.predict, (experiment.steps.abstract_state, *_abstract(experiment, inputs))


_STEPS = {"train": _training, "predict": _prediction}


def random_batch_of(experiment: Experiment, *, training: bool) -> Any:
    """Returns a batch of one image of the largest size."""
    config = experiment.config.copy_and_resolve_references()
    with config.unlocked():
        config.train.batch_size = 1
    make = random_training_batch if training else random_batch
    return make(config, len(experiment.task.classes.names), image_sizes(config, training=training)[0])


def _abstract(experiment: Experiment, batch: Any) -> Any:
    """Returns a batch of one image as abstract arrays of the config's batch size, laid out over the mesh."""
    return experiment.steps.shapes(batch, experiment.config.train.batch_size)

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
from jaxseg.benchmarks.plan_memory import Memory, memory_of, state_memory
from jaxseg.benchmarks.program_text import program_cost
from jaxseg.benchmarks.random_batches import image_sizes, random_batch, random_training_batch
from jaxseg.config.resolution import microbatches
from jaxseg.parallel import mesh as meshes
from jaxseg.run.errors import is_out_of_memory
from jaxseg.run.experiment import Experiment, build, resolve
from jaxseg.run.memory import held_bytes, largest_that_fits


class StepPlan(NamedTuple):
    """One compiled step on one machine. A step that the compiler refuses has infinite memory and no collectives.

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
    mesh = tuple(experiment.mesh.shape[axis] for axis in meshes.AXES)
    state = experiment.steps.abstract_state
    start = time.perf_counter()
    try:
        compiled = function.lower(*arguments).compile()
    except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error):
            raise
        # The compiler for TPUs refuses a step that needs more than a chip has.
        memory = state_memory(state)._replace(batch=held_bytes(arguments[1:]), activations=math.inf)
        return StepPlan(what, mesh, images, memory, [], [], None, math.nan, 0.0, time.perf_counter() - start)
    seconds = time.perf_counter() - start
    text, chip, count = compiled.as_text(), machine.chip, len(devices)
    collectives, cost, sizes = find_collectives(text), program_cost(text), parameter_sizes(experiment)
    operations = count_flops(function, *arguments) / count
    return StepPlan(
        what=what,
        mesh=mesh,
        images=images,
        memory=memory_of(compiled, state, arguments[1:]),
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


def parameter_sizes(experiment: Experiment) -> set[int]:
    """Returns the number of elements of each parameter and of its part on a device."""
    leaves = jax.tree.leaves(experiment.steps.abstract_state.params)
    parts = {math.prod(leaf.sharding.shard_shape(leaf.shape)) for leaf in leaves}
    return parts | {leaf.size for leaf in leaves}


def largest_batch(step: Callable[[int], StepPlan], limit: float, first: StepPlan) -> StepPlan | None:
    """Searches the largest number of images per device that fits, by compiling.

    The first plan and the memory of no images at all, its state and its program, say where to look. Where memory grows
    in proportion to the images, two more are compiled: the largest that fits, and the next, which does not.

    Args:
      step: compiles the step for a number of images.
      limit: bytes of a device.
      first: a plan of the step for any number of images.

    Returns:
      The largest plan that fits, or None where not even one image does.
    """
    plans = {first.images: first}

    def needed(count: int) -> float:
        plans[count] = step(count)
        return plans[count].memory.total

    known = {0: sum(first.memory._replace(batch=0, activations=0)), first.images: first.memory.total}
    return plans.get(largest_that_fits(needed, limit, known, trials=math.inf))


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
    return experiment.steps.predict_batch, (experiment.steps.abstract_state, *_abstract(experiment, inputs))


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

"""Steps of several runs of the same shape as one program: members of an ensemble, with their own seeds and batches.

On accelerators, states and batches have a leading axis for the members. A step is the training step of one run,
``vmap``-ed over this axis. Where several devices divide the members evenly, each device has some of them whole; else
each batch is divided. On one CPU device, the members take turns in one compiled step. A ``vmap`` over kernels is a
grouped convolution, which XLA computes slowly there: five U-Nets with 8 features on images of 64x64 took 4.9 s per step
on two busy cores, and 1.1 s in turns (jax 0.10.2).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxseg.parallel.mesh import is_one_cpu
from jaxseg.run import optimizers
from jaxseg.run import state as states
from jaxseg.run.experiment import Experiment
from jaxseg.run.memory import CompiledStep, held_bytes, program_memory
from jaxseg.run.state import TrainState
from jaxseg.run.steps import train_step
from jaxseg.types import AnyBatch

Create = Callable[[Mapping[tuple, jax.Array], jax.Array], TrainState]
Step = Callable[[jax.Array, TrainState, Any], tuple[TrainState, dict]]
UNOPTIMIZED = {"xla_backend_optimization_level": 0}  # for what runs once, see ``compilation.compile_steps``


class MemberSteps(NamedTuple):
    """The compiled functions of several runs. How states of all are kept is their own affair.

    Attributes:
      init: ``(given={}) -> states``, see ``compilation.Steps``.
      train: ``(states, batches) -> (states, logs)``; the given states are donated. Logs have a value per member.
      place: puts stacked batches on the devices.
      stack: a list of the state of each run -> states.
      split: states -> a list of the state of each run, on the devices as a single run has it.
      needed: (a batch of one row, rows per member) -> bytes per device of a step with all states. It compiles the step.
        None if the backend does not tell it.
      held: bytes per device of all states while one member is evaluated.
    """

    init: Callable[..., Any]
    train: Callable[..., tuple[Any, dict]]
    place: Callable[[Any], Any]
    stack: Callable[[Sequence[TrainState]], Any]
    split: Callable[[Any], list[TrainState]]
    needed: Callable[[AnyBatch, int], int | None]
    held: int


def check_together(experiment: Experiment) -> None:
    """Checks that runs like this one can be trained together.

    Raises:
      ValueError: its batches differ in size, its mesh divides models or images, or several processes share it.
    """
    config, mesh = experiment.config, experiment.mesh
    if experiment.task.data.train_dataset is None:
        raise ValueError(
            f"task is {config.task!r}; expected 'semantic' for --seeds and --folds, since the batches of other tasks "
            "differ in size. Train one run per seed."
        )
    if config.train.accumulate == "auto":
        raise ValueError("train.accumulate is 'auto'; expected a number for --seeds and --folds. Set it to 1.")
    if config.parallel != "jit" or mesh.shape["fsdp"] * mesh.shape["spatial"] != 1 or jax.process_count() > 1:
        raise ValueError(
            "mesh divides a model or an image, or several processes share the run; expected parallel=jit, mesh.data "
            "alone and one process for --seeds and --folds. Train one run per seed."
        )


def compile_members(experiment: Experiment, seeds: Sequence[int]) -> MemberSteps:
    """Returns the steps of several runs, which are compiled on first use.

    Args:
      experiment: that of the first run; the others differ in their seeds and data.
      seeds: the seed of each run.
    """
    config, task = experiment.config, experiment.task
    optimizer, schedule = optimizers.make_optimizer(config.optimizer, config.train.steps, task.model.frozen)

    def create(given: Mapping[tuple, jax.Array], seed: jax.Array) -> TrainState:
        variables = flatten_dict(task.model.init(jax.random.key(seed)))
        return states.create(unflatten_dict(variables | given), optimizer, bool(config.optimizer.ema))

    def step(seed: jax.Array, state: TrainState, batch: Any) -> tuple[TrainState, dict]:
        """Takes a training step of one member."""
        return train_step(
            state,
            batch,
            loss=task.loss,
            optimizer=optimizer,
            schedule=schedule,
            seed=seed,
            accumulate=config.train.accumulate,
            ema_decay=config.optimizer.ema,
        )

    make = take_turns if is_one_cpu(experiment.mesh) else map_over_members
    return make(experiment, jnp.asarray(seeds, jnp.int32), create, step)


def take_turns(experiment: Experiment, seeds: jax.Array, create: Create, step: Step) -> MemberSteps:
    """Returns steps in which the members take turns in one compiled step; their states are a list."""
    state = experiment.steps.abstract_state
    held = len(seeds) * held_bytes(state)
    init_one = jax.jit(create, compiler_options=UNOPTIMIZED)
    train_one = CompiledStep(jax.jit(lambda state, given: step(given[0], state, given[1]), donate_argnums=0))

    def train(together: Sequence[TrainState], batches: Sequence[Any]) -> tuple[list[TrainState], dict]:
        own = zip(seeds, batches, strict=True)
        taken = [train_one(state, given) for state, given in zip(together, own, strict=True)]
        return [state for state, _ in taken], {name: [logs[name] for _, logs in taken] for name in taken[0][1]}

    def place(batches: Any) -> list[Any]:
        return [
            jax.tree.map(lambda array, number=number: jnp.asarray(array[number]), batches)
            for number in range(len(seeds))
        ]

    def needed(batch: AnyBatch, rows: int) -> int | None:
        batches = experiment.steps.shapes(batch, rows)
        allocated = program_memory(train_one.program(state, (seeds[0], batches)))
        return None if allocated is None else allocated + held + len(seeds) * held_bytes(batches)

    def init(given: Mapping[tuple, jax.Array] = {}) -> list[TrainState]:
        return [init_one(dict(given), seed) for seed in seeds]

    return MemberSteps(init, train, place, list, list, needed, held)


def map_over_members(experiment: Experiment, seeds: jax.Array, create: Create, step: Step) -> MemberSteps:
    """Returns steps that are ``vmap``-ed over the members; their states have a leading axis."""
    mesh = experiment.mesh
    by_member = len(seeds) % mesh.size == 0
    of_states = NamedSharding(mesh, P("data") if by_member else P())
    of_batches = NamedSharding(mesh, P("data") if by_member else P(None, "data"))
    shapes = experiment.steps.abstract_state
    shardings = jax.tree.map(lambda leaf: leaf.sharding, shapes)
    init = jax.jit(
        lambda given: jax.vmap(partial(create, given))(seeds), out_shardings=of_states, compiler_options=UNOPTIMIZED
    )
    train = CompiledStep(
        jax.jit(
            lambda together, batches: jax.vmap(step)(seeds, together, batches),
            donate_argnums=0,
            out_shardings=(of_states, NamedSharding(mesh, P())),
        )
    )

    def abstract(leaf: Any, *sides: int, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((len(seeds), *sides), leaf.dtype, sharding=sharding)

    def place(batches: Any) -> Any:
        return jax.tree.map(lambda array: jax.device_put(array, of_batches), batches)

    def stack(singles: Sequence[TrainState]) -> TrainState:
        on_host = jax.device_get(list(singles))
        return jax.tree.map(lambda *leaves: jax.device_put(np.stack(leaves), of_states), *on_host)

    def split(together: TrainState) -> list[TrainState]:
        on_host = jax.device_get(together)
        return [
            jax.device_put(jax.tree.map(lambda leaf, number=number: leaf[number], on_host), shardings)
            for number in range(len(seeds))
        ]

    together = jax.tree.map(lambda leaf: abstract(leaf, *leaf.shape, sharding=of_states), shapes)

    def needed(batch: AnyBatch, rows: int) -> int | None:
        batches = jax.tree.map(lambda leaf: abstract(leaf, rows, *leaf.shape[1:], sharding=of_batches), batch)
        allocated = program_memory(train.program(together, batches))
        return None if allocated is None else allocated + held_bytes((together, batches))

    held = held_bytes(together) + len(seeds) * held_bytes(shapes)  # ``split`` copies the states
    return MemberSteps(lambda given={}: init(dict(given)), train, place, stack, split, needed, held)

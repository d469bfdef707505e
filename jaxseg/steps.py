"""The training and the evaluation step, and how they are compiled: jit over a mesh, or pmap.

``train_step`` and ``eval_step`` are plain functions of their arguments. ``compile_steps`` compiles them for a mesh with
the axes ``data``, ``fsdp`` and ``spatial``: a batch is divided over ``data`` and ``fsdp``, image rows over ``spatial``,
and parameters and optimiser state over ``fsdp``, to be gathered where they are used; the partitioner inserts the
communication. One device is a mesh of 1.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxseg import state as states
from jaxseg.sharding import batch_sharding, batch_share, gathered, state_sharding
from jaxseg.state import TrainState


class Steps(NamedTuple):
    """The compiled functions of one run; everything they take and return lives on the mesh.

    Attributes:
      init: ``(given={}) -> state``, where variables given by path, ``("params", module, ..., leaf)``, replace random
        ones.
      train: ``(state, batch) -> (state, logs)``; the state given is used up.
      evaluate: ``(state, batch) -> (totals, each)``, see ``tasks.task.Task.score``.
      predict: ``(state, *inputs) -> predictions``.
      place: a host's share of a batch -> the global batch on the mesh.
      fetch: what ``evaluate`` returns, as numpy arrays: the totals, and this host's share of each.
      abstract_state: shapes and shardings of a state, to restore a checkpoint into.
    """

    init: Callable[..., TrainState]
    train: Callable[..., tuple[TrainState, dict]]
    evaluate: Callable[..., Any]
    predict: Callable[..., Any]
    place: Callable[[Any], Any]
    fetch: Callable[[Any], Any]
    abstract_state: TrainState


def train_step(
    state: TrainState,
    batch: Any,
    *,
    task: Any,
    optimizer: optax.GradientTransformation,
    schedule: optax.Schedule,
    seed: int,
    accumulate: int = 1,
    ema_decay: float = 0.0,
    axis_name: str | None = None,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One step of the optimiser on one batch.

    Args:
      state: the run so far.
      batch: a NamedTuple of arrays ``[b, ...]``, as the task takes it.
      task: the ``Task``.
      optimizer: the optimiser that made ``state.opt_state``.
      schedule: its learning rate by step, for the logs.
      seed: with the step number, it determines everything random.
      accumulate: into how many microbatches the batch is cut; their gradients are those of the whole, and batch norms
        see one microbatch at a time.
      ema_decay: of the averages in ``state.ema``.
      axis_name: the pmap axis over which sums are taken; None under jit, which sees the whole batch.

    Returns:
      The state after the step, and its logs, all scalars: loss, its terms, the gradients' norm and the learning rate.
    """
    across_devices = partial(jax.lax.psum, axis_name=axis_name) if axis_name else lambda sums: sums
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    grads, batch_stats, logs = _gradients(task, state, batch, key, accumulate, across_devices)
    grads, logs = across_devices((grads, logs))
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    new = TrainState(state.step + 1, optax.apply_updates(state.params, updates), batch_stats, opt_state, state.ema)
    if state.ema:
        new = new._replace(ema=states.follow(state.ema, new, ema_decay))
    rate = jnp.asarray(schedule(state.step), jnp.float32)
    return new, {**logs, "gradient_norm": optax.tree.norm(grads), "learning_rate": rate}


def _gradients(
    task: Any, state: TrainState, batch: Any, key: jax.Array, parts: int, across_devices: Callable[[Any], Any]
) -> tuple[Any, Any, dict[str, jax.Array]]:
    """The gradients of a batch's loss, the batch statistics after it, and its logs; computed in so many parts.

    The sums of each part are divided by the counts of the whole batch, on all devices. Where these are known only when
    the model has run, as with regions drawn from its proposals, several parts run forwards once more to count them.
    """

    def loss_with_logs(params, batch_stats, microbatch, number, counts):
        sums, own_counts, batch_stats = task.sums(params, batch_stats, microbatch, key, number)
        counts = jax.lax.stop_gradient(across_devices(own_counts) if counts is None else counts)
        loss, logs = task.loss(sums, counts)
        return loss, (batch_stats, {"loss": loss, **logs})

    gradient = jax.grad(loss_with_logs, has_aux=True)
    if parts == 1:
        grads, (batch_stats, logs) = gradient(state.params, state.batch_stats, batch, 0, None)
        return grads, batch_stats, logs

    def count_part(batch_stats, microbatch_and_number):
        microbatch, number = microbatch_and_number
        _, counts, batch_stats = task.sums(state.params, batch_stats, microbatch, key, number)
        return batch_stats, counts

    def add_part(carry, microbatch_and_number):
        batch_stats, total = carry
        grads, (batch_stats, logs) = gradient(state.params, batch_stats, *microbatch_and_number, counts)
        return (batch_stats, jax.tree.map(jnp.add, total, (grads, logs))), None

    microbatches = jax.tree.map(partial(_microbatches, parts), batch), jnp.arange(parts)
    _, counts = jax.lax.scan(count_part, state.batch_stats, microbatches)
    counts = across_devices(jax.tree.map(lambda of_parts: of_parts.sum(axis=0), counts))
    first = jax.tree.map(lambda array: array[0], microbatches)
    grads, (_, logs) = jax.eval_shape(gradient, state.params, state.batch_stats, *first, counts)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), (grads, logs))
    (batch_stats, (grads, logs)), _ = jax.lax.scan(add_part, (state.batch_stats, zeros), microbatches)
    return grads, batch_stats, logs


def _microbatches(count: int, array: jax.Array) -> jax.Array:
    """``[b, ...]`` as ``[count, b / count, ...]``; every device keeps the examples that it has."""
    return jnp.moveaxis(array.reshape(-1, count, *array.shape[1:]), 1, 0)


def eval_step(state: TrainState, batch: Any, *, task: Any, axis_name: str | None = None) -> Any:
    """What an evaluation needs of a batch: totals over all devices, and arrays ``[b, ...]`` of each image."""
    totals, each = task.score(states.evaluated(state), batch)
    return jax.lax.psum(totals, axis_name) if axis_name else totals, each


def predict_step(state: TrainState, *inputs: jax.Array, task: Any) -> Any:
    """The task's predictions."""
    return task.predict(states.evaluated(state), *inputs)


def compile_steps(
    task: Any, optimizer: optax.GradientTransformation, schedule: optax.Schedule, config: Any, mesh: Mesh
) -> Steps:
    """The steps of a config, to be compiled on first use for the mesh.

    Raises:
      ValueError: an unknown ``config.parallel``, or pmap with a mesh that it cannot serve.
    """
    create = partial(_create, task, optimizer, config.seed, bool(config.optimizer.ema))
    shapes = jax.eval_shape(create)
    shardings = jax.tree.map(partial(state_sharding, mesh), shapes)
    bind = _COMPILERS.get(config.parallel)
    if bind is None:
        raise ValueError(f"parallel is {config.parallel!r}; known are {', '.join(_COMPILERS)}")
    axis_name = pmap_axis(config)
    if axis_name is None:  # pmap's devices have whole variables anyway
        task = _with_whole_variables(task, mesh)
    train = partial(
        train_step,
        task=task,
        optimizer=optimizer,
        schedule=schedule,
        seed=config.seed,
        accumulate=config.train.accumulate,
        ema_decay=config.optimizer.ema,
        axis_name=axis_name,
    )
    train, evaluate, place, fetch = bind(mesh, shardings, train, partial(eval_step, task=task, axis_name=axis_name))
    return Steps(
        # It runs once, but optimising its random numbers takes XLA half a minute on a CPU (25 s against 1.6 s for a
        # U-Net of 14 kernels, on two cores with jax 0.10.2).
        init=jax.jit(create, out_shardings=shardings, compiler_options={"xla_backend_optimization_level": 0}),
        train=train,
        evaluate=evaluate,
        predict=jax.jit(partial(predict_step, task=task), out_shardings=NamedSharding(mesh, P())),
        place=place,
        fetch=fetch,
        abstract_state=jax.tree.map(
            lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), shapes, shardings
        ),
    )


def pmap_axis(config: Any) -> str | None:
    """The name of the axis over which pmap runs, or None for a config that does not use pmap."""
    return "data" if config.parallel == "pmap" else None


def _create(
    task: Any, optimizer: optax.GradientTransformation, seed: int, ema: bool, given: Mapping[tuple, jax.Array] = {}
) -> TrainState:
    variables = flatten_dict(task.init(jax.random.key(seed)))
    return states.create(unflatten_dict(variables | given), optimizer, ema)


def _with_whole_variables(task: Any, mesh: Mesh) -> Any:
    """The same task, its model computing with whole variables, which ``fsdp`` divides between steps alone.

    Gradients come back whole, too. Were kernels left divided, the partitioner would divide a layer's channels over the
    same devices as its batch. Where ``spatial`` divides few rows as well, it then returns two or four times a kernel's
    gradient, without a word (seen in jaxlib 0.10.2, next to convolutions with 3x3 and 7x7 kernels on 4 rows).
    """
    whole = partial(gathered, mesh)

    def sums(params, batch_stats, *rest):
        sums, counts, batch_stats = task.sums(whole(params), whole(batch_stats), *rest)
        return sums, counts, whole(batch_stats)

    return task._replace(
        sums=sums,
        score=lambda variables, batch: task.score(whole(variables), batch),
        predict=lambda variables, *inputs: task.predict(whole(variables), *inputs),
    )


def _with_jit(mesh: Mesh, shardings: TrainState, train: Callable, evaluate: Callable) -> tuple[Callable, ...]:
    everywhere, by_image = NamedSharding(mesh, P()), batch_sharding(mesh, 1)

    def fetch(scored):
        totals, each = scored
        return jax.device_get((totals, multihost_utils.global_array_to_host_local_array(each, mesh, by_image.spec)))

    _, shares = batch_share(mesh)

    def place_array(array):
        whole = (shares * len(array), *array.shape[1:])
        return jax.make_array_from_process_local_data(batch_sharding(mesh, array.ndim), array, whole)

    return (
        jax.jit(train, donate_argnums=0, out_shardings=(shardings, everywhere)),
        jax.jit(evaluate, out_shardings=(everywhere, by_image)),
        partial(jax.tree.map, place_array),
        fetch,
    )


def _with_pmap(mesh: Mesh, shardings: TrainState, train: Callable, evaluate: Callable) -> tuple[Callable, ...]:
    """The same steps, each device with the whole state and its share of the batch; their sums meet in ``psum``."""
    if mesh.shape["fsdp"] * mesh.shape["spatial"] != 1:
        raise ValueError(
            'parallel = "pmap" divides the batch alone: set mesh.fsdp and mesh.spatial to 1, or parallel to "jit"'
        )
    devices = jax.local_device_count()

    def place(batch):
        return jax.tree.map(lambda array: array.reshape(devices, -1, *array.shape[1:]), batch)

    def fetch(scored):
        totals, each = jax.device_get(scored)
        return totals, jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:]), each)

    over_devices = partial(jax.pmap, axis_name="data", in_axes=(None, 0))
    return (
        over_devices(train, donate_argnums=0, out_axes=None),
        over_devices(evaluate, out_axes=(None, 0)),
        place,
        fetch,
    )


_COMPILERS = {"jit": _with_jit, "pmap": _with_pmap}

"""How the steps of a run are compiled: jit over a mesh, or pmap.

The mesh has the axes ``data``, ``fsdp`` and ``spatial``. A batch is divided over ``data`` and ``fsdp``, image rows over
``spatial``. Parameters and optimizer state are divided over ``fsdp``, and a layer gathers its own. The partitioner
inserts the communication. One device is a mesh of 1.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxseg.config.resolution import microbatches
from jaxseg.models.table import DTYPES
from jaxseg.parallel.cpu_compiler import prediction_options
from jaxseg.parallel.mesh import (
    batch_sharding,
    batch_share,
    forget_whole,
    gathered,
    gathered_by_layer,
    state_sharding,
)
from jaxseg.run import state as states
from jaxseg.run.state import TrainState
from jaxseg.run.steps import Gather, eval_step, keep, predict_step, train_step
from jaxseg.tasks.task import LossSums, Task
from jaxseg.types import AnyBatch


class Steps(NamedTuple):
    """The compiled functions of one run. Their arguments and results are on the mesh.

    Attributes:
      init: ``(given={}) -> state``. Variables given by path, ``("params", module, ..., leaf)``, replace random ones.
      train: ``(state, batch) -> (state, logs)``; the given state is donated.
      evaluate: ``(state, batch) -> (totals, each)``, see ``tasks.task.Metric.score``.
      predict: ``(state, *inputs) -> predictions`` of a few images. Every device has them all.
      predict_batch: the same for a placed batch. The predictions are divided as the batch is.
      place: puts a host's share of a batch on the mesh and returns the global batch.
      shapes: ``(batch of one row, rows) -> abstract arrays`` of a placed batch.
      fetch: copies results of ``evaluate`` to numpy: the totals, and this host's share of each.
      abstract_state: shapes and shardings of a state, for restoring checkpoints.
    """

    init: Callable[..., TrainState]
    train: Callable[..., tuple[TrainState, dict]]
    evaluate: Callable[..., Any]
    predict: Callable[..., Any]
    predict_batch: Callable[..., Any]
    place: Callable[[Any], Any]
    shapes: Callable[[Any, int], Any]
    fetch: Callable[[Any], Any]
    abstract_state: TrainState


def compile_steps(
    task: Task, optimizer: optax.GradientTransformation, schedule: optax.Schedule, config: Any, mesh: Mesh
) -> Steps:
    """Returns the steps of a config, which are compiled for the mesh on first use.

    Raises:
      ValueError: ``config.parallel`` is unknown, or pmap cannot use the mesh.
    """
    create = partial(_create, task, optimizer, config.seed, bool(config.optimizer.ema))
    shapes = jax.eval_shape(create)
    shardings = jax.tree.map(partial(state_sharding, mesh), shapes)
    bind = _COMPILERS.get(config.parallel)
    if bind is None:
        raise ValueError(f"parallel is {config.parallel!r}; known are {', '.join(_COMPILERS)}")
    axis_name, gather = pmap_axis(config), gather_for(config, mesh)
    loss = task.loss._replace(sums=gathering_sums(task.loss.sums, config, mesh))
    train = partial(
        train_step,
        loss=loss,
        optimizer=optimizer,
        schedule=schedule,
        seed=config.seed,
        accumulate=microbatches(config),
        ema_decay=config.optimizer.ema,
        axis_name=axis_name,
    )
    evaluate = partial(eval_step, metric=task.metric, axis_name=axis_name, gather=gather)
    predict = partial(predict_step, model=task.model, gather=gather)
    train, evaluate, place, batch_shapes, fetch = bind(mesh, shardings, train, evaluate)
    return Steps(
        # It runs once, but optimizing its random numbers takes XLA half a minute on a CPU (25 s against 1.6 s for a
        # U-Net of 14 kernels, on two cores with jax 0.10.2).
        init=jax.jit(create, out_shardings=shardings, compiler_options={"xla_backend_optimization_level": 0}),
        train=train,
        evaluate=evaluate,
        predict=jax.jit(predict, out_shardings=NamedSharding(mesh, P()), compiler_options=prediction_options(mesh)),
        predict_batch=jax.jit(_divided(mesh, predict), compiler_options=prediction_options(mesh)),
        place=place,
        shapes=batch_shapes,
        fetch=fetch,
        abstract_state=jax.tree.map(
            lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), shapes, shardings
        ),
    )


def pmap_axis(config: Any) -> str | None:
    """Returns the name of the axis over which pmap runs, or None without pmap."""
    return "data" if config.parallel == "pmap" else None


def _create(
    task: Task, optimizer: optax.GradientTransformation, seed: int, ema: bool, given: Mapping[tuple, jax.Array] = {}
) -> TrainState:
    variables = flatten_dict(task.model.init(jax.random.key(seed)))
    return states.create(unflatten_dict(variables | given), optimizer, ema)


def _divided(mesh: Mesh, predict: Callable) -> Callable:
    """Returns the prediction step with results that stay with their images.

    Whole results would need memory in proportion to all images: 11 GB on each of 256 chips for logits of 480x480.
    """

    def predict_batch(state: TrainState, *inputs: jax.Array) -> Any:
        found = predict(state, *inputs)
        return jax.tree.map(
            lambda array: jax.lax.with_sharding_constraint(array, batch_sharding(mesh, array.ndim)), found
        )

    return predict_batch


def gather_for(config: Any, mesh: Mesh) -> Gather:
    """Returns what makes variables whole before an evaluation or a prediction uses them.

    This works around a bug of XLA's SPMD partitioner. If kernels stay divided over ``fsdp``, it divides a layer's
    channels over the same devices as its batch. If ``spatial`` divides few rows as well, it returns two or four times
    the gradient of a kernel, without an error. This was seen in jaxlib 0.10.2, with kernels of 3x3 and 7x7 on 4 rows.
    ``test_any_mesh_takes_the_steps_of_one_device`` fails without it. No report of exactly this was found. The nearest
    is https://github.com/jax-ml/jax/issues/16894, where batch and output channels are also on the same devices.
    """
    return keep if config.parallel == "pmap" else partial(gathered, mesh)


def gathering_sums(sums: LossSums, config: Any, mesh: Mesh) -> LossSums:
    """Returns the sums of a loss, with variables that are whole where a layer uses them.

    Under ``fsdp``, the backward pass gathers the parameters of each layer again. Their gradients are divided at once.
    """
    gather = gather_for(config, mesh)
    if mesh.shape["fsdp"] == 1:

        def whole(params: Any, batch_stats: Any, batch: AnyBatch, key: jax.Array, part: Any) -> Any:
            found, counts, batch_stats = sums(gather(params), gather(batch_stats), batch, key, part)
            return found, counts, gather(batch_stats)

        return whole
    by_layer = partial(gathered_by_layer, mesh, DTYPES[config.precision])

    @forget_whole
    def divided(params: Any, batch_stats: Any, batch: AnyBatch, key: jax.Array, part: Any) -> Any:
        found, counts, batch_stats = sums(by_layer(params), gather(batch_stats), batch, key, part)
        return found, counts, gather(batch_stats)

    return divided


def _with_jit(mesh: Mesh, shardings: TrainState, train: Callable, evaluate: Callable) -> tuple[Callable, ...]:
    everywhere, by_image = NamedSharding(mesh, P()), batch_sharding(mesh, 1)

    def fetch(scored):
        totals, each = scored
        return jax.device_get((totals, multihost_utils.global_array_to_host_local_array(each, mesh, by_image.spec)))

    _, shares = batch_share(mesh)

    def place_array(array):
        whole = (shares * len(array), *array.shape[1:])
        return jax.make_array_from_process_local_data(batch_sharding(mesh, array.ndim), array, whole)

    def shapes(batch, rows):
        def abstract(array):
            layout = batch_sharding(mesh, array.ndim)
            return jax.ShapeDtypeStruct((rows, *array.shape[1:]), array.dtype, sharding=layout)

        return jax.tree.map(abstract, batch)

    return (
        jax.jit(train, donate_argnums=0, out_shardings=(shardings, everywhere)),
        jax.jit(evaluate, out_shardings=(everywhere, by_image)),
        partial(jax.tree.map, place_array),
        shapes,
        fetch,
    )


def _with_pmap(mesh: Mesh, shardings: TrainState, train: Callable, evaluate: Callable) -> tuple[Callable, ...]:
    """Compiles steps with pmap: each device has the whole state and its share of the batch, and sums use ``psum``."""
    if mesh.shape["fsdp"] * mesh.shape["spatial"] != 1:
        raise ValueError(
            'parallel = "pmap" divides the batch alone: set mesh.fsdp and mesh.spatial to 1, or parallel to "jit"'
        )
    devices = jax.local_device_count()

    def place(batch):
        return jax.tree.map(lambda array: array.reshape(devices, -1, *array.shape[1:]), batch)

    def shapes(batch, rows):
        def abstract(array):
            return jax.ShapeDtypeStruct((devices, rows // mesh.size, *array.shape[1:]), array.dtype)

        return jax.tree.map(abstract, batch)

    def fetch(scored):
        totals, each = jax.device_get(scored)
        return totals, jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:]), each)

    over_devices = partial(jax.pmap, axis_name="data", in_axes=(None, 0))
    return (
        over_devices(train, donate_argnums=0, out_axes=None),
        over_devices(evaluate, out_axes=(None, 0)),
        place,
        shapes,
        fetch,
    )


_COMPILERS = {"jit": _with_jit, "pmap": _with_pmap}

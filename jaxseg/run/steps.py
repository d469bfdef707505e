"""Steps of training, evaluation and prediction as plain functions; ``jaxseg.run.compilation`` compiles them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxseg.run import state as states
from jaxseg.run.state import TrainState
from jaxseg.tasks.task import Loss, Metric, Model
from jaxseg.types import AnyBatch

Logs = dict[str, jax.Array]
# Returns variables that are whole on every device; see ``compilation.gather_for``.
Gather = Callable[[Any], Any]


def keep(tree: Any) -> Any:
    """Returns variables as they are: the ``gather`` of steps on one device and of pmap."""
    return tree


def train_step(
    state: TrainState,
    batch: AnyBatch,
    *,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    schedule: optax.Schedule,
    seed: int,
    accumulate: int = 1,
    ema_decay: float = 0.0,
    axis_name: str | None = None,
) -> tuple[TrainState, Logs]:
    """Takes one step of the optimizer on one batch.

    Args:
      state: the state before the step.
      batch: arrays ``[b, ...]``.
      loss: the loss of the task.
      optimizer: the optimizer that made ``state.opt_state``.
      schedule: the learning rate by step, for the logs.
      seed: everything random is a function of the seed and the step number.
      accumulate: number of microbatches. Their gradients are those of the whole batch; batch norms see one at a time.
      ema_decay: decay of the averages in ``state.ema``.
      axis_name: the axis of pmap over which sums are taken. None under jit, which sees the whole batch.

    Returns:
      The state after the step, and scalars for the logs: loss, its terms, the norm of the gradients, learning rate.
    """
    across_devices = partial(jax.lax.psum, axis_name=axis_name) if axis_name else keep
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    batch = loss.prepare(batch) if loss.prepare else batch
    gradient = jax.grad(partial(loss_fn, loss=loss, across_devices=across_devices), has_aux=True)
    if accumulate == 1:
        grads, (batch_stats, logs) = gradient(state.params, state.batch_stats, batch, key, 0, None)
    else:
        count = partial(count_fn, loss=loss)
        grads, batch_stats, logs = _accumulate(gradient, count, state, batch, key, accumulate, across_devices)
    grads, logs = across_devices((grads, logs))
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    new = TrainState(state.step + 1, optax.apply_updates(state.params, updates), batch_stats, opt_state, state.ema)
    if state.ema:
        new = new._replace(ema=states.update_ema(state.ema, new, ema_decay))
    rate = jnp.asarray(schedule(state.step), jnp.float32)
    return new, {**logs, "gradient_norm": optax.tree.norm(grads), "learning_rate": rate}


def loss_fn(
    params: Any,
    batch_stats: Any,
    batch: AnyBatch,
    key: jax.Array,
    part: jax.Array | int,
    counts: Any,
    *,
    loss: Loss,
    across_devices: Callable[[Any], Any] = keep,
) -> tuple[jax.Array, tuple[Any, Logs]]:
    """Computes the loss of a microbatch.

    Args:
      params: what to differentiate by.
      batch_stats: the running statistics before this microbatch.
      batch: the microbatch.
      key: the random key of the step.
      part: the number of the microbatch.
      counts: the counts of the whole batch, by which sums are divided. None takes those of this microbatch.
      loss: the loss of the task.
      across_devices: sums over the devices of pmap.

    Returns:
      The loss; then the running statistics and the logs.
    """
    sums, own_counts, batch_stats = loss.sums(params, batch_stats, batch, key, part)
    counts = jax.lax.stop_gradient(across_devices(own_counts) if counts is None else counts)
    value, terms = loss.combine(sums, counts)
    return value, (batch_stats, {"loss": value, **terms})


def count_fn(
    params: Any, batch_stats: Any, batch: AnyBatch, key: jax.Array, part: jax.Array, *, loss: Loss
) -> tuple[Any, Any]:
    """Computes the running statistics and the counts of a microbatch, see ``loss_fn``."""
    _, counts, batch_stats = loss.sums(params, batch_stats, batch, key, part)
    return batch_stats, counts


def _accumulate(
    gradient: Callable[..., Any],
    count: Callable[..., Any],
    state: TrainState,
    batch: AnyBatch,
    key: jax.Array,
    parts: int,
    across_devices: Callable[[Any], Any],
) -> tuple[Any, Any, Logs]:
    """Computes the gradients of a batch part by part; returns gradients, running statistics and logs.

    The sums of each part are divided by the counts of the whole batch on all devices. Some counts are known only when
    the model has run, as those of regions sampled from its proposals. Hence each part first runs forwards to count.
    """

    def count_part(batch_stats, microbatch_and_number):
        microbatch, number = microbatch_and_number
        return count(state.params, batch_stats, microbatch, key, number)

    def add_part(carry, microbatch_and_number):
        batch_stats, total = carry
        microbatch, number = microbatch_and_number
        grads, (batch_stats, logs) = gradient(state.params, batch_stats, microbatch, key, number, counts)
        return (batch_stats, jax.tree.map(jnp.add, total, (grads, logs))), None

    microbatches = jax.tree.map(partial(_microbatches, parts), batch), jnp.arange(parts)
    _, counts = jax.lax.scan(count_part, state.batch_stats, microbatches)
    counts = across_devices(jax.tree.map(lambda of_parts: of_parts.sum(axis=0), counts))
    microbatch, number = jax.tree.map(lambda array: array[0], microbatches)
    grads, (_, logs) = jax.eval_shape(gradient, state.params, state.batch_stats, microbatch, key, number, counts)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), (grads, logs))
    (batch_stats, (grads, logs)), _ = jax.lax.scan(add_part, (state.batch_stats, zeros), microbatches)
    return grads, batch_stats, logs


def _microbatches(count: int, array: jax.Array) -> jax.Array:
    """Returns ``[b, ...]`` as ``[count, b / count, ...]``; every device keeps the examples that it has."""
    return jnp.moveaxis(array.reshape(-1, count, *array.shape[1:]), 1, 0)


def eval_step(
    state: TrainState, batch: AnyBatch, *, metric: Metric, axis_name: str | None = None, gather: Gather = keep
) -> tuple[Any, Any]:
    """Computes what an evaluation needs of a batch: totals over all devices, and arrays ``[b, ...]`` per image."""
    totals, each = metric.score(gather(states.eval_variables(state)), batch)
    return jax.lax.psum(totals, axis_name) if axis_name else totals, each


def predict_step(state: TrainState, *inputs: jax.Array, model: Model, gather: Gather = keep) -> Any:
    """Computes predictions."""
    return model.predict(gather(states.eval_variables(state)), *inputs)

"""Training and evaluation steps as plain functions; ``jaxseg.run.compilation`` compiles them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxseg.run import state as states
from jaxseg.run.state import TrainState


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
    """One step of the optimizer on one batch.

    Args:
      state: the run so far.
      batch: a NamedTuple of arrays ``[b, ...]``, as the task takes it.
      task: the ``Task``.
      optimizer: the optimizer that made ``state.opt_state``.
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
        new = new._replace(ema=states.update_ema(state.ema, new, ema_decay))
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
    totals, each = task.score(states.eval_variables(state), batch)
    return jax.lax.psum(totals, axis_name) if axis_name else totals, each


def predict_step(state: TrainState, *inputs: jax.Array, task: Any) -> Any:
    """The task's predictions."""
    return task.predict(states.eval_variables(state), *inputs)

"""The state of a training run: one pytree that each step replaces."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class TrainState(NamedTuple):
    """The state of a training run at one step. With the seed and the data, it determines the rest of the run.

    Attributes:
      step: int32 scalar, the number of steps done.
      params: the trained parameters.
      batch_stats: the running statistics of batch norms; {} for models without them.
      opt_state: the state of the optimizer.
      ema: running averages of ``params`` and ``batch_stats`` for evaluation; {} keeps none.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    ema: Any


def create(variables: dict, optimizer: optax.GradientTransformation, ema: bool) -> TrainState:
    """Creates the state before the first step.

    Args:
      variables: ``params`` and perhaps ``batch_stats``, as a model's ``init`` returns them.
      optimizer: the optimizer that will take the steps.
      ema: whether to keep running averages.
    """
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    average = {"params": params, "batch_stats": batch_stats} if ema else {}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=batch_stats,
        opt_state=optimizer.init(params),
        # The state is donated to the step: the averages must not share the parameters' memory.
        ema=jax.tree.map(jnp.copy, average),
    )


def eval_variables(state: TrainState) -> dict:
    """Returns the variables for evaluation and prediction: the averages, if the run keeps them."""
    return state.ema or {"params": state.params, "batch_stats": state.batch_stats}


def update_ema(ema: dict, state: TrainState, decay: float) -> dict:
    """Returns the averages after one more step.

    The decay is ``min(decay, (1 + t) / (10 + t))``. It starts low, so that the random initial parameters fade soon.
    """
    step = state.step.astype(jnp.float32)
    decay = jnp.minimum(decay, (1 + step) / (10 + step))
    new = {"params": state.params, "batch_stats": state.batch_stats}
    return jax.tree.map(lambda average, value: decay * average + (1 - decay) * value, ema, new)

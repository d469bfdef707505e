"""A config's optimizer section into an optax transformation and its learning-rate schedule."""

from typing import Any

import jax
import optax


def make_schedule(config: Any, total_steps: int) -> optax.Schedule:
    """Learning rate by step: a linear warm-up from 0, then the schedule's own course over the steps that remain.

    Args:
      config: the ``optimizer`` section of a config.
      total_steps: the length of the run.

    Raises:
      ValueError: an unknown schedule, or a warm-up that is longer than the run.
    """
    warmup, peak = config.warmup_steps, config.learning_rate
    if not 0 <= warmup < total_steps:
        raise ValueError(f"optimizer.warmup_steps is {warmup} but the run has {total_steps} steps: it must be shorter")
    schedules = {
        "constant": lambda: optax.constant_schedule(peak),
        "cosine": lambda: optax.cosine_decay_schedule(peak, total_steps - warmup),
        "poly": lambda: optax.polynomial_schedule(peak, 0.0, power=0.9, transition_steps=total_steps - warmup),
    }
    main = _choose(schedules, config.schedule, "optimizer.schedule")()
    if not warmup:
        return main
    # The first step already moves: step 0 of n warm-up steps has 1/n of the peak.
    rise = optax.linear_schedule(peak / warmup, peak, max(warmup - 1, 1))
    return optax.join_schedules([rise, main], [warmup])


def make_optimizer(config: Any, total_steps: int) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The optimiser and the schedule that it follows.

    Args:
      config: the ``optimizer`` section of a config.
      total_steps: the length of the run.

    Raises:
      ValueError: an unknown optimiser or schedule.
    """
    schedule = make_schedule(config, total_steps)
    optimizers = {
        # Keras's form: the epsilon stands under the root, and the first average is 0.
        "rmsprop": lambda: optax.rmsprop(schedule, decay=0.9, eps=1e-7),
        "sgd": lambda: optax.sgd(schedule, momentum=0.9),
        "adam": lambda: optax.adam(schedule),
        "adamw": lambda: optax.adamw(schedule, weight_decay=config.weight_decay, mask=kernels),
    }
    optimizer = _choose(optimizers, config.name, "optimizer.name")()
    parts = []
    if config.clip_norm:
        parts.append(optax.clip_by_global_norm(config.clip_norm))
    if config.weight_decay and config.name != "adamw":
        parts.append(optax.add_decayed_weights(config.weight_decay, mask=kernels))
    return optax.chain(*parts, optimizer), schedule


def kernels(params: Any) -> Any:
    """True for the kernels of convolutions and dense layers, False for biases and norms' scales."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)


def _choose(table: dict, name: str, field: str) -> Any:
    if name not in table:
        raise ValueError(f"{field} is {name!r}; known are {', '.join(sorted(table))}")
    return table[name]

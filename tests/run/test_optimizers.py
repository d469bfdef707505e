"""Schedules and optimizers by their formulas."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from experiments import tiny_config

from jaxseg.run import optimizers


def rates(total, **fields):
    config = tiny_config(**{f"optimizer__{name}": value for name, value in fields.items()}).optimizer
    schedule = optimizers.make_schedule(config, total)
    return np.array([schedule(step) for step in range(total)])


def test_warm_up_rises_in_equal_parts_and_the_cosine_ends_near_zero():
    values = rates(104, learning_rate=0.4, warmup_steps=4, schedule="cosine")
    np.testing.assert_allclose(values[:5], [0.1, 0.2, 0.3, 0.4, 0.4], rtol=1e-6)
    np.testing.assert_allclose(values[54], 0.2, rtol=1e-5)
    assert 0 < values[-1] < 1e-3
    assert np.all(np.diff(values[4:]) < 0)


def test_poly_follows_its_power():
    values = rates(10, learning_rate=2.0, schedule="poly")
    np.testing.assert_allclose(values, 2 * (1 - np.arange(10) / 10) ** 0.9, rtol=1e-5)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"schedule": "cosin"}, "optimizer.schedule is 'cosin'.*cosine"),
        ({"name": "lamb"}, "optimizer.name is 'lamb'.*adamw"),
        ({"warmup_steps": 10}, "warmup_steps is 10 but the run has 10 steps"),
    ],
)
def test_what_is_not_known_is_named(fields, named):
    config = tiny_config(**{f"optimizer__{name}": value for name, value in fields.items()}).optimizer
    with pytest.raises(ValueError, match=named):
        optimizers.make_optimizer(config, 10)


def update(grads, params, **fields):
    config = tiny_config(**{f"optimizer__{name}": value for name, value in fields.items()}).optimizer
    optimizer, _ = optimizers.make_optimizer(config, 10)
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    return updates


def test_rmsprop_is_kerass():
    grads = {"kernel": jnp.array([0.5, -2.0, 1e-4])}
    updates = update(grads, grads, name="rmsprop", learning_rate=1e-3)
    g = np.asarray(grads["kernel"], np.float64)
    chex.assert_trees_all_close(updates["kernel"], -1e-3 * g / np.sqrt(0.1 * g**2 + 1e-7), rtol=1e-5)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_only_kernels_decay(name):
    params = {
        "conv": {"kernel": jnp.full((3,), 2.0), "bias": jnp.full((3,), 2.0)},
        "norm": {"scale": jnp.full((3,), 2.0)},
    }
    still = optax.tree.zeros_like(params)
    updates = update(still, params, name=name, learning_rate=0.1, weight_decay=0.5)
    chex.assert_trees_all_close(updates["conv"]["kernel"], jnp.full((3,), -0.1))
    chex.assert_trees_all_equal((updates["conv"]["bias"], updates["norm"]["scale"]), (jnp.zeros(3), jnp.zeros(3)))


def test_the_gradients_norm_is_clipped_over_all_parameters():
    grads = {"a": {"kernel": jnp.array([3.0])}, "b": {"bias": jnp.array([4.0])}}
    updates = update(grads, grads, name="sgd", learning_rate=1.0, clip_norm=1.0)
    chex.assert_trees_all_close(
        updates, {"a": {"kernel": jnp.array([-0.6])}, "b": {"bias": jnp.array([-0.8])}}, rtol=1e-5
    )


@pytest.mark.parametrize("length", [0.5, 4.0])
def test_clipping_is_optaxs(length):
    """Below the largest norm to the bit, above it up to rounding; the state of old checkpoints stays the same."""
    grads = {"a": jnp.array([length * 0.6]), "b": jnp.array([0.0, -length * 0.8])}
    ours, optaxs = optimizers.clip_by_global_norm(1.0), optax.clip_by_global_norm(1.0)
    (clipped, state), (expected, same) = (clip.update(grads, clip.init(grads)) for clip in (ours, optaxs))
    chex.assert_trees_all_close(clipped, expected, rtol=0 if length < 1 else 1e-6)
    assert type(state) is type(same) is type(ours.init(grads))


def test_steps_fall_at_shares_of_the_run_and_the_warm_up_is_part_of_it():
    fields = {"learning_rate": 2.0, "schedule": "steps", "milestones": (0.5, 0.8), "gamma": 0.1, "warmup_steps": 4}
    values = rates(20, **fields)
    np.testing.assert_allclose(values[:5], [0.5, 1, 1.5, 2, 2], rtol=1e-6)
    np.testing.assert_allclose(values[[9, 10, 15, 16, 19]], [2, 0.2, 0.2, 0.02, 0.02], rtol=1e-5)
    with pytest.raises(ValueError, match="milestones is .*between 0 and 1"):
        rates(20, schedule="steps", milestones=(16, 22))


PARAMS = {
    "backbone": {name: {"kernel": jnp.full((2,), 3.0)} for name in ("conv1", "layer1_0", "layer2_0")},
    "head": {"kernel": jnp.full((2,), 3.0), "bias": jnp.full((2,), 3.0)},
}


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_factors_are_rates_of_their_own_and_what_is_frozen_stays(name):
    """Also where weights decay."""
    fields = {"name": name, "learning_rate": 0.1, "weight_decay": 0.5}
    config = tiny_config(**{f"optimizer__{field}": value for field, value in fields.items()}).optimizer
    grads = jax.tree.map(jnp.ones_like, PARAMS)

    def updates(config, frozen=()):
        optimizer, _ = optimizers.make_optimizer(config, 10, frozen)
        return optimizer.update(grads, optimizer.init(PARAMS), PARAMS)[0]

    plain = updates(config)
    config.factors = (("backbone/layer2_", 0.5), ("head/bias", 10.0))
    own = updates(config, ("backbone/conv1/", "backbone/layer1_"))
    for stage in ("conv1", "layer1_0"):
        chex.assert_trees_all_equal(own["backbone"][stage]["kernel"], jnp.zeros(2))
    chex.assert_trees_all_close(
        own["backbone"]["layer2_0"], jax.tree.map(lambda x: 0.5 * x, plain["backbone"]["conv1"])
    )
    chex.assert_trees_all_close(own["head"]["bias"], 10 * plain["head"]["bias"])
    chex.assert_trees_all_equal(own["head"]["kernel"], plain["head"]["kernel"])


def test_a_factor_of_no_parameter_is_refused():
    config = tiny_config(optimizer__factors=(("backbnoe/", 0.1),)).optimizer
    optimizer, _ = optimizers.make_optimizer(config, 10)
    with pytest.raises(ValueError, match="'backbnoe/'.*begin with backbone/conv1,"):
        optimizer.init(PARAMS)

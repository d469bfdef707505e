from functools import partial

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxseg.models.norms import BatchNorm, norm_layer


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(3, 2, (4, 5, 6, 3)).astype(np.float32)


def run(norm, x, **arguments):
    variables = jax.jit(norm.init)(jax.random.key(0), x)
    return jax.jit(partial(norm.apply, mutable=["batch_stats"]))(variables, x, **arguments)


def test_outputs_are_linens_and_the_running_variance_is_unbiased(x):
    y, stats = run(BatchNorm(train=True), x)
    expected, linens = run(nn.BatchNorm(use_running_average=False, momentum=0.9), x)
    chex.assert_trees_all_close(y, expected, atol=1e-5)
    chex.assert_trees_all_close(stats["batch_stats"]["mean"], linens["batch_stats"]["mean"], rtol=1e-5)
    var = 0.9 + 0.1 * x.reshape(-1, 3).var(axis=0, ddof=1)
    chex.assert_trees_all_close(stats["batch_stats"]["var"], var, rtol=1e-5)


def test_a_large_mean_does_not_drown_the_variance(x):
    norm = BatchNorm(train=True)
    stats = {"mean": jnp.full(3, 10003.0), "var": jnp.ones(3)}
    variables = {"params": {"scale": jnp.ones(3), "bias": jnp.zeros(3)}, "batch_stats": stats}
    y, _ = jax.jit(partial(norm.apply, mutable=["batch_stats"]))(variables, x + 10000)
    chex.assert_trees_all_close(y.reshape(-1, 3).std(axis=0), jnp.ones(3), atol=1e-4)


def test_masked_positions_have_no_say(x):
    mask = np.arange(5).reshape(1, 5, 1, 1) < 3
    y, stats = run(BatchNorm(train=True), np.where(mask, x, 1e6), mask=mask)
    expected, alone = run(BatchNorm(train=True), x[:, :3])
    chex.assert_trees_all_close(y[:, :3], expected, atol=1e-4)
    chex.assert_trees_all_close(stats, alone, rtol=1e-4)


def test_where_nothing_counts_the_running_statistics_serve_and_stay(x):
    norm = BatchNorm(train=True)
    stats = {"mean": jnp.full(3, 2.0), "var": jnp.full(3, 4.0)}
    variables = {"params": {"scale": jnp.ones(3), "bias": jnp.zeros(3)}, "batch_stats": stats}
    apply = jax.jit(partial(norm.apply, mask=np.zeros((1, 1, 1, 1), bool), mutable=["batch_stats"]))
    y, after = apply(variables, x)
    chex.assert_trees_all_close(after["batch_stats"], stats)
    chex.assert_trees_all_close(y, (x - 2) / np.sqrt(4 + 1e-5), rtol=1e-4, atol=1e-5)
    grad = jax.jit(jax.grad(lambda x: apply(variables, x)[0].sum()))(x)
    assert np.isfinite(grad).all()


def test_devices_share_their_statistics(x):
    norm = norm_layer("batch", train=True, axis_name="devices")(name=None)
    variables = jax.jit(norm.init)(jax.random.key(0), x)
    apply = jax.vmap(lambda x: norm.apply(variables, x, mutable=["batch_stats"]), axis_name="devices")
    y, stats = jax.jit(apply)(x.reshape(2, 2, 5, 6, 3))
    expected, expected_stats = run(BatchNorm(train=True), x)
    chex.assert_trees_all_close(y.reshape(x.shape), expected, atol=1e-5)
    chex.assert_trees_all_close(jax.tree.map(lambda s: s[0], stats), expected_stats, rtol=1e-5)


def test_the_epsilon_of_a_frozen_norm_counts():
    x = jnp.ones((1, 2, 2, 1))
    outputs = [norm_layer("frozen", train=False, epsilon=e)(name=None).init_with_output({}, x)[0] for e in (0.0, 1.0)]
    chex.assert_trees_all_close(outputs[0], x)
    chex.assert_trees_all_close(outputs[1], x / np.sqrt(2), rtol=1e-6)


def test_an_unknown_norm_is_named():
    with pytest.raises(ValueError, match="no norm 'group'"):
        norm_layer("group", train=False)

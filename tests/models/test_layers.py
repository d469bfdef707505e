"""The convolution layer against ``nn.Conv``: the same parameters, the same numbers."""

import re

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxseg.models.layers import Conv


@pytest.mark.parametrize(("size", "stride", "dilation"), [(1, 1, 1), (1, 2, 1), (3, 2, 1), (3, 1, 2), (7, 2, 1)])
@pytest.mark.parametrize("use_bias", [True, False])
def test_parameters_and_values_are_those_of_flax(size, stride, dilation, use_bias):
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 9, 10, 3), dtype=np.float32))
    half = (size - 1) // 2 * dilation
    flax = nn.Conv(
        4, (size, size), strides=stride, kernel_dilation=dilation, padding=[(half, half)] * 2, use_bias=use_bias
    )
    ours = Conv(4, size, stride, dilation, use_bias=use_bias)
    variables = ours.init(jax.random.key(3), x)
    chex.assert_trees_all_equal(variables, flax.init(jax.random.key(3), x))
    chex.assert_trees_all_equal(ours.apply(variables, x), flax.apply(variables, x))
    fast = ours.clone(cpu_kernels=True)
    chex.assert_trees_all_close(fast.apply(variables, x), flax.apply(variables, x), atol=1e-5)


def test_the_computation_has_the_layers_type():
    x = jnp.ones((1, 4, 4, 3))
    layer = Conv(4, 3, dtype=jnp.bfloat16)
    variables = layer.init(jax.random.key(0), x)
    assert layer.apply(variables, x).dtype == jnp.bfloat16
    assert variables["params"]["kernel"].dtype == jnp.float32


def test_padding_can_be_chosen():
    x = jnp.ones((1, 6, 5, 1))
    assert Conv(1, 3, padding=0).init_with_output(jax.random.key(0), x)[0].shape == (1, 4, 3, 1)


def test_no_layer_asks_the_process_for_its_devices(root):
    """What depends on the devices is a field, which the experiment sets from its mesh."""
    asking = re.compile(r"device_count|jax\.(local_)?devices|default_backend")
    files = [path for folder in ("models", "ops", "losses") for path in (root / "jaxseg" / folder).rglob("*.py")]
    assert len(files) > 30
    assert not [path.name for path in files if asking.search(path.read_text())]

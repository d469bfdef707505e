"""Options of XLA's compiler for programs that predict."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.sharding import Mesh

from jaxseg.parallel.cpu_compiler import NONE, YNNPACK_FUSIONS, cpu_compiler_accepts, prediction_options


class Stranger:
    """A device that is described only."""

    platform = "tpu"


def test_only_cpus_get_options():
    assert prediction_options(Mesh(np.array([Stranger()]), ["data"])) is None
    assert prediction_options(Mesh(np.array([*jax.devices("cpu")[:1], Stranger()]), ["data"])) is None
    expected = {YNNPACK_FUSIONS: NONE} if cpu_compiler_accepts(YNNPACK_FUSIONS, NONE) else None
    assert prediction_options(Mesh(np.array(jax.devices("cpu")), ["data"])) == prediction_options(None) == expected


def test_an_option_that_this_compiler_lacks_is_not_used(monkeypatch):
    assert cpu_compiler_accepts("xla_backend_optimization_level", "0")
    assert not cpu_compiler_accepts("xla_cpu_option_of_another_version", "")
    monkeypatch.setattr("jaxseg.parallel.cpu_compiler.YNNPACK_FUSIONS", "xla_cpu_option_of_another_version")
    assert prediction_options(Mesh(np.array(jax.devices("cpu")), ["data"])) is None


@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions_give_the_same_numbers(stride):
    convolution = nn.Conv(8, (3, 3), strides=stride)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 12, 12, 4), np.float32))
    variables = convolution.init(jax.random.key(0), x)
    options = prediction_options(Mesh(np.array(jax.devices("cpu")), ["data"]))
    chex.assert_trees_all_close(
        jax.jit(convolution.apply, compiler_options=options)(variables, x),
        jax.jit(convolution.apply)(variables, x),
        atol=1e-5,
    )

"""Inside jit, products and quotients round as numpy's do."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from xla_flags import AS_USERS_COMPILE

from jaxseg.ops import rounding

RANDOM = np.random.default_rng(0)
A, B, C = RANDOM.uniform(-100, 100, (3, 2000)).astype(np.float32)


# With less optimization nothing is contracted anyway.
optimised = partial(jax.jit, compiler_options=AS_USERS_COMPILE)


def test_a_product_rounds_before_the_sum():
    np.testing.assert_array_equal(optimised(lambda a, b, c: rounding.product(a, b) + c)(A, B, C), A * B + C)


def test_a_quotient_by_a_constant_is_a_division():
    np.testing.assert_array_equal(optimised(lambda a: rounding.quotient(a, 7.0))(A), A / np.float32(7))


def test_gradients_are_those_of_product_and_quotient():
    a, b = jnp.asarray(A), jnp.asarray(B)
    np.testing.assert_array_equal(jax.grad(lambda a: rounding.product(a, b).sum())(a), B)
    np.testing.assert_allclose(
        jax.grad(lambda a: rounding.quotient(a, 7.0).sum())(a), np.full_like(A, 1 / 7), rtol=1e-6
    )

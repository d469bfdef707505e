"""What a run costs is counted."""

import re

import jax
import jax.numpy as jnp

from jaxseg.run import costs


def test_compiling_is_timed_while_it_is_listened_to():
    with costs.CompileTime() as compiling:
        jax.jit(lambda x: jnp.sin(x) * 17.25 + 1)(jnp.ones(3))
    once = compiling.seconds
    assert once > 0
    jax.jit(lambda x: jnp.cos(x) * 18.25 + 2)(jnp.ones(3))
    assert compiling.seconds == once


def test_memory_is_told_with_whose_it_is():
    assert re.fullmatch(r"\d+\.\d\d GiB of (a device's|this process's) memory", costs.peak_memory())

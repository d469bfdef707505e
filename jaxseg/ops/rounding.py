"""Products and quotients that round where they are written.

A compiler contracts ``a * b + c`` into one operation that rounds once, and replaces a division by a constant with a
product with its reciprocal. Both are harmless to most numbers. Not to those that are compared: overlaps that tie would
tie no more, and a sample on the border of a map would fall off it. With these two functions such numbers are, bit for
bit, what numpy and torchvision get on the CPU; optimization_barrier and reduce_precision do not achieve it.
"""

import jax
import jax.numpy as jnp

_LARGEST = jnp.finfo(jnp.float32).max.item()


def product(a: jax.Array, b: jax.Array) -> jax.Array:
    """Computes ``a * b``, rounded to float32 before anything is added to it."""
    return jnp.minimum(a * b, _LARGEST)  # no finite number is larger, which the compiler cannot know


def quotient(a: jax.Array, b: jax.Array | float) -> jax.Array:
    """Computes ``a / b`` by a true division, also where b is a constant."""
    return a / jnp.where(jnp.isnan(a), 1.0, b)  # not a constant in the eyes of the compiler

"""Products and quotients that round where they are written.

A compiler contracts ``a * b + c`` into one operation that rounds once, and replaces a division by a constant with a
product with its reciprocal. Both are harmless unless numbers are compared: equal overlaps would differ, and a sample on
the border of a map would leave it. With these two functions such numbers equal those of numpy and torchvision on the
CPU, bit for bit. optimization_barrier and reduce_precision do not achieve it.
"""

import jax
import jax.numpy as jnp

_LARGEST = jnp.finfo(jnp.float32).max.item()


def product(a: jax.Array, b: jax.Array) -> jax.Array:
    """Computes ``a * b``, rounded to float32 before anything is added to it.

    Example:
      >>> float(product(jnp.float32(3.0), jnp.float32(0.5)))
      1.5
    """
    return jnp.minimum(a * b, _LARGEST)  # No finite number is larger, but the compiler does not know that.


def quotient(a: jax.Array, b: jax.Array | float) -> jax.Array:
    """Computes ``a / b`` by a true division, also where b is a constant.

    Example:
      >>> float(quotient(jnp.float32(3.0), 2.0))
      1.5
    """
    return a / jnp.where(jnp.isnan(a), 1.0, b)  # The compiler does not see that the divisor is a constant.

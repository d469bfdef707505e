"""What the machine can do at best, measured: a large matrix product and a large copy."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxseg.benchmarks.timing import Contender
from jaxseg.models.table import DTYPES

PRODUCT, COPY = "matrix product", "copy"
SIDES = (256, 512, 1024, 2048, 4096, 8192)  # of the matrices


def peak_contenders(precision: str, seconds: float, device: jax.Device) -> list[Contender]:
    """Returns a product of square matrices in the precision, and a copy of float32 numbers, on one device.

    Both are as large as can be done in a fraction of ``seconds``: the larger, the nearer to the peak.
    """
    dtype, exactly = DTYPES[precision], "highest" if precision == "float32" else "default"

    @jax.jit
    def product(a, b):
        return jnp.matmul(a, b, precision=exactly)

    @jax.jit
    def copy(a, one):
        return a * one

    def product_of(side: int) -> Contender:
        a, b = (_noise(key, (side, side), dtype, device) for key in (0, 1))
        return Contender("jax", PRODUCT, _repeat(product, a, b), flops=2 * side**3)

    def copy_of(side: int) -> Contender:
        a = _noise(0, (4 * side, side), jnp.float32, device)
        return Contender("jax", COPY, _repeat(copy, a, jax.device_put(1.5, device)), bytes_moved=2 * a.nbytes)

    return [_largest(product_of, seconds), _largest(copy_of, seconds)]


def _largest(make: Callable[[int], Contender], seconds: float) -> Contender:
    for side in SIDES:
        contender = make(side)
        contender.run(1)
        start = time.perf_counter()
        contender.run(1)
        if time.perf_counter() - start > seconds / 10:
            break
    return contender


def _noise(key: int, shape: tuple[int, ...], dtype: Any, device: jax.Device) -> jax.Array:
    return jax.device_put(jax.random.normal(jax.random.key(key), shape, dtype), device)


def _repeat(function: Callable[..., jax.Array], *arguments: jax.Array) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in range(count):
            result = function(*arguments)
        result.block_until_ready()

    return run

"""Bilinear interpolation along one axis, from which every crop and resize here is made.

The weight of the value at position j for a sample at x is ``max(0, 1 - |x - j|)``. A sample in two dimensions is the
product of both axes. So a crop is either two matrix products or four values looked up per sample.
"""

import jax
import jax.numpy as jnp


def weights(positions: jax.Array, size: int, extent: jax.Array | int) -> jax.Array:
    """Returns one row of weights ``[..., size]`` for each sample ``[...]``; only the first ``extent`` values count.

    Samples beyond the first or the last of these take its value.
    """
    positions = jnp.clip(positions, 0, extent - 1)[..., None]
    columns = jax.lax.broadcasted_iota(jnp.float32, (*positions.shape[:-1], size), positions.ndim - 1)
    return jnp.maximum(0, 1 - jnp.abs(positions - columns))


def taps(positions: jax.Array, extent: jax.Array | int) -> tuple[jax.Array, jax.Array]:
    """Returns the two of ``extent`` values next to each sample ``[...]``: int32 indices and weights, ``[..., 2]``."""
    positions = jnp.clip(positions, 0, extent - 1)
    low = jnp.floor(positions)
    fraction = positions - low
    low = low.astype(jnp.int32)
    indices = jnp.stack([low, jnp.minimum(low + 1, extent - 1)], axis=-1)
    return indices, jnp.stack([1 - fraction, fraction], axis=-1)

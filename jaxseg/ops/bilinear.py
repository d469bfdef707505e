"""Bilinear interpolation along one axis, the part that all crops and resizes share.

The weight of the value at position j for a sample at x is ``max(0, 1 - |x - j|)``. In two dimensions it is the product
of the weights of both axes. Hence a crop is either two matrix products, or four values looked up per sample.
"""

import jax
import jax.numpy as jnp


def weights(positions: jax.Array, size: int, extent: jax.Array | int) -> jax.Array:
    """Returns the weights of all values for each sample.

    Args:
      positions: ``[...]``, the positions of the samples; those outside 0..extent-1 take the first or last value.
      size: number of values.
      extent: number of values that are valid; the others get weight 0.

    Returns:
      ``[..., size]``.

    Example:
      >>> weights(jnp.array([0.25, 9.0]), size=3, extent=2).tolist()
      [[0.75, 0.25, 0.0], [0.0, 1.0, 0.0]]
    """
    positions = jnp.clip(positions, 0, extent - 1)[..., None]
    columns = jax.lax.broadcasted_iota(jnp.float32, (*positions.shape[:-1], size), positions.ndim - 1)
    return jnp.maximum(0, 1 - jnp.abs(positions - columns))


def taps(positions: jax.Array, extent: jax.Array | int) -> tuple[jax.Array, jax.Array]:
    """Returns indices, int32 ``[..., 2]``, and weights ``[..., 2]`` of the two values next to each sample.

    Args:
      positions: ``[...]``, the positions of the samples; those outside 0..extent-1 take the first or last value.
      extent: number of values.

    Example:
      >>> indices, weights = taps(jnp.array([0.25]), extent=2)
      >>> indices.tolist(), weights.tolist()
      ([[0, 1]], [[0.75, 0.25]])
    """
    positions = jnp.clip(positions, 0, extent - 1)
    low = jnp.floor(positions)
    fraction = positions - low
    low = low.astype(jnp.int32)
    indices = jnp.stack([low, jnp.minimum(low + 1, extent - 1)], axis=-1)
    return indices, jnp.stack([1 - fraction, fraction], axis=-1)

"""Weighted sums of entries of a table, and two forms of the gradient for the table; RoIAlign is one of them per bin."""

from functools import partial

import jax
import jax.numpy as jnp

# Indices y and x and their weights, each ``[p, bins, taps]``.
Taps = tuple[jax.Array, jax.Array, jax.Array, jax.Array]
# Number of boxes per scatter of the CPU form: few enough to stay in a cache.
_CPU_BOXES = 8


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def gather_weighted_sums(table: jax.Array, taps: Taps, cpu_kernels: bool) -> jax.Array:
    """Returns the weighted sums ``[p, rows, columns, c]`` of entries ``y + x`` of the table ``[n, c]``.

    Args:
      table: ``[n, c]``.
      taps: indices y and x and their weights, each ``[p, bins, taps]``.
      cpu_kernels: whether to use the gradient that is fast on one CPU device.

    Example:
      >>> table = jnp.array([[1.0], [2.0], [10.0], [20.0]])  # two rows of two entries: row 1 begins at 2
      >>> y, x = jnp.array([[[0, 2]]]), jnp.array([[[0, 1]]])  # one box, one bin, two taps along each axis
      >>> half = jnp.full((1, 1, 2), 0.5)
      >>> gather_weighted_sums(table, (y, x, half, half), False).tolist()  # the mean of all four entries
      [[[[8.25]]]]
    """
    y, x, weights_y, weights_x = taps
    pooled = 0
    for i in range(y.shape[2]):
        for j in range(x.shape[2]):  # One look-up per turn, which the compiler fuses. No sample is ever stored.
            weights = weights_y[:, :, None, i] * weights_x[:, None, :, j]
            pooled += weights[..., None] * table[y[:, :, None, i] + x[:, None, :, j]]
    return pooled.astype(table.dtype)


def _forward(table, taps, cpu_kernels):
    return gather_weighted_sums(table, taps, cpu_kernels), (taps, jnp.zeros((table.shape[0], 0), table.dtype))


def _backward(cpu_kernels, residuals, gradient):
    taps, shape = residuals
    scatter = _scatter_few_boxes_at_a_time if cpu_kernels else _scatter_all_boxes
    return scatter(taps, gradient, shape.shape[0]).astype(shape.dtype), None


def _scatter_all_boxes(taps, gradient, length):
    """Adds up the table's gradient in one scatter of float32. A scatter of bfloat16 is many times slower on a GPU."""
    y, x, weights_y, weights_x = (tap.reshape(tap.shape[0], -1) for tap in taps)
    indices = y[:, :, None] + x[:, None, :]
    weights = weights_y[:, :, None] * weights_x[:, None, :]
    samples = [taps[axis].shape[2] for axis in range(2)]
    gradient = gradient.astype(jnp.promote_types(gradient.dtype, jnp.float32))
    of_samples = gradient.repeat(samples[0], axis=1).repeat(samples[1], axis=2)
    zeros = jnp.zeros((length, gradient.shape[-1]), gradient.dtype)
    return zeros.at[indices].add(weights[..., None] * of_samples)


def _scatter_few_boxes_at_a_time(taps, gradient, length):
    """Adds up the table's gradient by few boxes per turn: more would write each sample's gradient to memory first."""
    table = jax.ShapeDtypeStruct((length, gradient.shape[-1]), gradient.dtype)
    return jax.linear_transpose(partial(_gather_by_box, taps=taps), table)(gradient)[0]


def _gather_by_box(table, taps):
    def one(box_taps):
        y, x, weights_y, weights_x = box_taps
        samples = table[y.reshape(-1)[:, None] + x.reshape(-1)[None, :]].reshape(*y.shape, *x.shape, -1)
        samples = samples.astype(jnp.promote_types(table.dtype, jnp.float32))
        return jnp.einsum("ia,jb,iajbc->ijc", weights_y, weights_x, samples).astype(table.dtype)

    return jax.lax.map(one, taps, batch_size=_CPU_BOXES)


gather_weighted_sums.defvjp(_forward, _backward)

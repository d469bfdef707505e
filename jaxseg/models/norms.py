"""The norms of the backbones and the detector, chosen by name."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype


class BatchNorm(nn.Module):
    """Batch norm with PyTorch's running statistics and an optional mask of valid positions.

    ``y = scale (x - mean) / sqrt(var + epsilon) + bias`` per channel. The running variance averages unbiased variances,
    as in PyTorch; that of ``nn.BatchNorm`` averages biased ones, so fine-tuning would differ from torchvision. If no
    position is valid, as in the mask head of a batch without objects, the running statistics are used and not changed.

    Attributes:
      train: whether to use the statistics of this batch, and to add them to the running ones.
      momentum: share of the old running statistics that a step keeps; PyTorch's momentum is 1 minus that.
      epsilon: number that is added to the variance.
      dtype: type of the output; statistics and the computation are float32.
      axis_name: the axis over which pmap's devices share batch statistics; jit needs none.

    Example:
      >>> import numpy as np
      >>> x = np.array([[[[1.0], [3.0], [99.0]]]])  # the third position is padding
      >>> mask = np.array([[[[True], [True], [False]]]])
      >>> norm = BatchNorm(train=True, epsilon=0.0)
      >>> variables = {"params": {"scale": np.ones(1), "bias": np.zeros(1)}}
      >>> variables["batch_stats"] = {"mean": np.zeros(1), "var": np.ones(1)}
      >>> apply = jax.jit(lambda x, mask: norm.apply(variables, x, mask, mutable="batch_stats"))
      >>> y, changed = apply(x, mask)
      >>> y[0, 0, :2, 0].tolist()  # of mean 2 and variance 1
      [-1.0, 1.0]
      >>> round(float(changed["batch_stats"]["var"][0]), 4)  # 0.9 * 1 + 0.1 * 2
      1.1
    """

    train: bool
    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: Dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Normalizes ``x [..., c]``.

        Args:
          x: the input.
          mask: bool, of the rank of x and broadcast to it, True at valid positions. None: all are valid.
        """
        shape = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
        mean, var = running_mean.value, running_var.value
        if self.train:
            mean, var, unbiased = self._statistics(x, mask, mean, var)
            if not self.is_initializing():
                keep = self.momentum
                running_mean.value = keep * running_mean.value + (1 - keep) * mean
                running_var.value = keep * running_var.value + (1 - keep) * unbiased
        scale = scale * jax.lax.rsqrt(var + self.epsilon)
        return affine(x, scale, bias - mean * scale, self.dtype)

    def _statistics(self, x, mask, running_mean, running_var):
        """Returns mean, variance and unbiased variance of this batch; the running ones if nothing is valid."""
        # Deviations are taken from the running mean, not from 0, so that their squares do not drown the variance.
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32)) - _expand(running_mean, x.ndim)
        axes = tuple(range(x.ndim - 1))
        weights = jnp.ones((1,) * x.ndim, bool) if mask is None else mask
        count = jnp.broadcast_to(weights, (*x.shape[:-1], 1)).sum(dtype=x.dtype)
        x = jnp.where(weights, x, 0)
        totals = (count, x.sum(axes), (x * x).sum(axes))
        if self.axis_name and not self.is_initializing():
            totals = jax.lax.psum(totals, self.axis_name)
        count, total, squares = totals
        shift = total / jnp.maximum(count, 1)
        var = jnp.maximum(squares / jnp.maximum(count, 1) - shift * shift, 0)
        unbiased = var * (count / jnp.maximum(count - 1, 1))
        something = count > 0
        return running_mean + shift, jnp.where(something, var, running_var), jnp.where(something, unbiased, running_var)


class FrozenBatchNorm(nn.Module):
    """A batch norm with fixed statistics, scale and bias.

    All four vectors are variables of the collection ``batch_stats``, so optimizers do not change them.

    Attributes:
      epsilon: number that is added to the variance. torchvision's COCO_V1 detector was trained with 0.0.
      dtype: type of the output; the computation is float32.

    Example:
      >>> variables = jax.eval_shape(FrozenBatchNorm().init, jax.random.key(0), jnp.zeros((1, 4, 4, 8)))
      >>> {collection: sorted(vectors) for collection, vectors in variables.items()}
      {'batch_stats': ['bias', 'mean', 'scale', 'var']}
    """

    epsilon: float = 1e-5
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Scales and shifts ``x [..., c]``; ``mask`` is unused and exists because ``BatchNorm`` has it."""
        shape = x.shape[-1:]
        scale = self.variable("batch_stats", "scale", jnp.ones, shape, jnp.float32).value
        bias = self.variable("batch_stats", "bias", jnp.zeros, shape, jnp.float32).value
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32).value
        var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32).value
        scale = scale * jax.lax.rsqrt(var + self.epsilon)
        return affine(x, scale, bias - mean * scale, self.dtype)


def affine(x: jax.Array, scale: jax.Array, bias: jax.Array, dtype: Dtype) -> jax.Array:
    """Computes ``x [..., c] * scale [c] + bias [c]`` in float32 at least, and returns it in ``dtype``."""
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return (x * _expand(scale, x.ndim) + _expand(bias, x.ndim)).astype(dtype)


def _expand(vector: jax.Array, rank: int) -> jax.Array:
    """Reshapes ``[c]`` to ``[1, ..., 1, c]``."""
    return vector.reshape((1,) * (rank - 1) + vector.shape)


def norm_layer(
    kind: str,
    *,
    train: bool,
    epsilon: float = 1e-5,
    dtype: Dtype = jnp.float32,
    axis_name: str | None = None,
) -> Callable[..., nn.Module]:
    """Returns a function that makes a norm from its ``name``; the norm is called with ``(x, mask=None)``.

    Args:
      kind: "batch", which uses the statistics of the batch in training; or "frozen".
      train: whether norms of the kind "batch" use the statistics of the batch.
      epsilon: number that is added to the variance.
      dtype: type of the output; the computation is float32.
      axis_name: the axis over which pmap's devices share batch statistics; jit needs none.

    Raises:
      ValueError: there is no such norm.

    Example:
      >>> type(norm_layer("frozen", train=True)(name="norm")).__name__
      'FrozenBatchNorm'
    """
    norms = {
        "batch": partial(BatchNorm, train, epsilon=epsilon, dtype=dtype, axis_name=axis_name),
        "frozen": partial(FrozenBatchNorm, epsilon=epsilon, dtype=dtype),
    }
    if kind not in norms:
        raise ValueError(f"There is no norm '{kind}'; known are {', '.join(norms)}.")
    return norms[kind]

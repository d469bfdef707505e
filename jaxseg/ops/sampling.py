"""Sampling: chooses a fixed number of the matched anchors or proposals for a loss."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxseg.ops.matching import Match


class Samples(NamedTuple):
    """A fixed number of slots: first the objects, then the background, then filler.

    Attributes:
      indices: int32 ``[slots]``, into the boxes; a valid index in filler slots too.
      positive: bool ``[slots]``, True where the box matched an object.
      valid: bool ``[slots]``, False in filler slots, which no loss counts.
    """

    indices: jax.Array
    positive: jax.Array
    valid: jax.Array


def sample(
    key: jax.Array,
    labels: jax.Array,
    eligible: jax.Array | None = None,
    slots: int = 512,
    positive_fraction: float = 0.25,
) -> Samples:
    """Samples objects and background uniformly, without replacement (torchvision's BalancedPositiveNegativeSampler).

    At most ``int(slots * positive_fraction)`` slots hold objects. Background fills the other slots, and filler those
    that are then left. The defaults are those of torchvision's box head; its region proposal network has 256 and 0.5.

    Args:
      key: the random key.
      labels: int32 ``[p]``, values of ``Match``.
      eligible: bool ``[p]``, False on padding, which is never sampled. None: all boxes are eligible.
      slots: number of slots.
      positive_fraction: maximum fraction of objects among them.

    Example:
      >>> labels = jnp.array([Match.BACKGROUND, Match.OBJECT, Match.IGNORED])
      >>> samples = jax.jit(sample, static_argnames="slots")(jax.random.key(0), labels, slots=4)
      >>> samples.indices.tolist(), samples.positive.tolist(), samples.valid.tolist()
      ([1, 0, 0, 0], [True, False, False, False], [True, True, False, False])
    """
    eligible = jnp.ones(labels.shape, bool) if eligible is None else eligible
    is_object = eligible & (labels == Match.OBJECT)
    is_background = eligible & (labels == Match.BACKGROUND)
    max_objects = int(slots * positive_fraction)
    num_objects = jnp.minimum(is_object.sum(), max_objects)
    num_background = jnp.minimum(is_background.sum(), slots - num_objects)

    object_key, background_key = jax.random.split(key)
    objects = _shuffled(object_key, is_object, min(max_objects, labels.shape[0]))
    background = _shuffled(background_key, is_background, min(slots, labels.shape[0]))

    slot = jnp.arange(slots)
    positive = slot < num_objects
    valid = slot < num_objects + num_background
    indices = jnp.where(
        positive,
        jnp.take(objects, slot, mode="clip") if max_objects else 0,
        jnp.take(background, slot - num_objects, mode="clip"),
    )
    return Samples(jnp.where(valid, indices, 0).astype(jnp.int32), positive, valid)


def _shuffled(key: jax.Array, candidates: jax.Array, count: int) -> jax.Array:
    """Returns indices of ``count`` boxes: first the candidates, in random order."""
    order = (
        jax.random.bits(key, candidates.shape, jnp.uint32) >> 1
    )  # 31 bits: ties are rare, and the index decides them
    return jax.lax.top_k(jnp.where(candidates, order.astype(jnp.int32), -1), count)[1]

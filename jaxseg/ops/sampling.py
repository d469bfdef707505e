"""Which of the matched anchors or proposals a loss looks at."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxseg.ops.matching import Match


class Samples(NamedTuple):
    """A fixed number of slots: first the objects, then the background, then filler.

    Attributes:
      indices: int32 ``[slots]``, into the boxes; a valid index in filler slots too.
      positive: bool ``[slots]``, the slot holds a box that matched an object.
      valid: bool ``[slots]``, False in filler slots, which weigh nothing in any loss.
    """

    indices: jax.Array
    positive: jax.Array
    valid: jax.Array


def sample(key: jax.Array, labels: jax.Array, eligible: jax.Array, slots: int, positive_fraction: float) -> Samples:
    """Samples objects and background uniformly, without replacement (torchvision's BalancedPositiveNegativeSampler).

    At most ``int(slots * positive_fraction)`` are objects; background fills what they leave. Where both are too few,
    filler does.

    Args:
      key: the source of randomness.
      labels: int32 ``[p]``, of ``Match``.
      eligible: bool ``[p]``, False on padding, which is never drawn.
      slots: how many to draw.
      positive_fraction: the largest share of objects.
    """
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
    """Returns indices of ``count`` of the boxes, the candidates first and in random order."""
    order = jax.random.bits(key, candidates.shape, jnp.uint32) >> 1  # 31 bits: ties, which index decides, are rare
    return jax.lax.top_k(jnp.where(candidates, order.astype(jnp.int32), -1), count)[1]

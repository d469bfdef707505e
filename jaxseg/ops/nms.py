"""Non-maximum suppression: of boxes that overlap much, keep the best."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxseg.ops import boxes as box_ops

# Boxes decided in one turn of the loop: enough to fill an accelerator, few enough for a square table of overlaps.
# On two CPU cores 2,000 of 8,819 boxes take 61, 45 and 51 ms in tiles of 128, 256 and 512.
TILE = 256


class NmsResult(NamedTuple):
    """The boxes that ``nms`` keeps, best first.

    Attributes:
      indices: int32 ``[max_output]``, into the boxes given; 0 in unused slots.
      valid: bool ``[max_output]``, False in unused slots.
    """

    indices: jax.Array
    valid: jax.Array


class _Candidates(NamedTuple):
    """Boxes in the order of their scores: ``boxes [n, 4]``, ``groups [n]``, ``valid [n]``, ``indices [n]``."""

    boxes: jax.Array
    groups: jax.Array
    valid: jax.Array
    indices: jax.Array


def nms(
    boxes: jax.Array,
    scores: jax.Array,
    groups: jax.Array,
    valid: jax.Array,
    *,
    iou_threshold: float,
    max_output: int,
) -> NmsResult:
    """Exact greedy suppression: the same boxes in the same order as torchvision's ``nms`` of each group.

    A box falls when its overlap with a better kept box of its own group exceeds the threshold. Equal scores go by
    index. The best boxes are decided a tile at a time, against those kept so far and among themselves, and the loop
    ends as soon as ``max_output`` are kept. Nothing is differentiated.

    Args:
      boxes: ``[p, 4]``.
      scores: ``[p]``.
      groups: int32 ``[p]``, classes or pyramid levels; boxes of different groups do not see each other.
      valid: bool ``[p]``; what is False is ignored.
      iou_threshold: in 0..1.
      max_output: how many boxes to return at most.
    """
    chex.assert_shape(boxes, (None, 4))
    chex.assert_equal_shape([scores, groups, valid])
    candidates = _by_score(*jax.lax.stop_gradient((boxes, scores, groups, valid)))
    threshold = _largest_float32_up_to(iou_threshold)
    num_tiles = candidates.valid.shape[0] // TILE
    num_candidates = candidates.valid.sum()

    def unfinished(state):
        tile_number, _, num_kept = state
        return (tile_number < num_tiles) & (tile_number * TILE < num_candidates) & (num_kept < max_output)

    def decide_tile(state):
        tile_number, kept, num_kept = state
        tile = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, tile_number * TILE, TILE), candidates)
        fallen = (_suppresses(kept, tile, threshold)).any(axis=0)
        survivors = _greedy(_suppresses(tile, tile, threshold), tile.valid & ~fallen)
        best_first = jnp.argsort(~survivors, stable=True)
        tile = jax.tree.map(lambda x: x[best_first], tile._replace(valid=survivors))
        kept = jax.tree.map(lambda x, new: jax.lax.dynamic_update_slice_in_dim(x, new, num_kept, 0), kept, tile)
        return tile_number + 1, kept, num_kept + survivors.sum(dtype=jnp.int32)

    # Room for one tile more than asked for, so that the last one fits whatever survives of it.
    nothing = jax.tree.map(lambda x: jnp.zeros((max_output + TILE, *x.shape[1:]), x.dtype), candidates)
    _, kept, _ = jax.lax.while_loop(unfinished, decide_tile, (0, nothing, 0))
    valid = kept.valid[:max_output]
    return NmsResult(jnp.where(valid, kept.indices[:max_output], 0), valid)


def _by_score(boxes: jax.Array, scores: jax.Array, groups: jax.Array, valid: jax.Array) -> _Candidates:
    """The boxes, best first, the invalid ones last, padded to whole tiles."""
    count = scores.shape[0]
    numbers = jnp.arange(count, dtype=jnp.int32)
    _, _, order = jax.lax.sort((~valid, -scores, numbers), num_keys=2, is_stable=True)
    padding = -count % TILE
    sorted_ones = _Candidates(boxes[order], groups[order], valid[order], order)
    return jax.tree.map(lambda x: jnp.pad(x, [(0, padding)] + [(0, 0)] * (x.ndim - 1)), sorted_ones)


def _suppresses(better: _Candidates, others: _Candidates, threshold: np.float32) -> jax.Array:
    """True ``[n, p]`` where a valid one of n better boxes would suppress one of the p others."""
    overlaps = box_ops.pairwise_iou(better.boxes, others.boxes) > threshold
    return overlaps & (better.groups[:, None] == others.groups[None, :]) & better.valid[:, None]


def _greedy(suppresses: jax.Array, candidates: jax.Array) -> jax.Array:
    """Which of the candidates ``[n]``, best first, survive each other, given who would suppress whom ``[n, n]``.

    Letting those fall whom a survivor suppresses, again and again, settles each box once all better ones are settled.
    What no longer changes is the greedy answer: the best box cannot fall, and so on down. It takes as many turns as
    the longest chain of boxes of which each hinges on the one before, commonly a handful.
    """
    suppresses = jnp.triu(suppresses, k=1)

    def turn(state):
        survivors, _ = state
        fallen = (suppresses & survivors[:, None]).any(axis=0)
        return candidates & ~fallen, survivors

    def changed(state):
        survivors, before = state
        return (survivors != before).any()

    return jax.lax.while_loop(changed, turn, turn((candidates, candidates)))[0]


def _largest_float32_up_to(threshold: float) -> np.float32:
    """A float32 overlap exceeds this number exactly when it exceeds the float64 threshold, as torchvision compares."""
    rounded = np.float32(threshold)
    return rounded if float(rounded) <= threshold else np.nextafter(rounded, np.float32(-np.inf))

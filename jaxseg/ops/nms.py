"""Non-maximum suppression: of boxes that overlap, keeps the one with the highest score."""

from functools import partial
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxseg.ops import boxes as box_ops

# Boxes per image that one turn of the loop decides: enough to fill an accelerator, few enough for a square table of
# overlaps.
TILE = 256


class NmsResult(NamedTuple):
    """The boxes that ``nms`` keeps, best first.

    Attributes:
      indices: int32 ``[..., max_output]``, into the boxes given; 0 in unused slots.
      valid: bool ``[..., max_output]``, False in unused slots.
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
    groups: jax.Array | None = None,
    valid: jax.Array | None = None,
    *,
    iou_threshold: float = 0.5,
    max_output: int | None = None,
) -> NmsResult:
    """Suppresses boxes exactly and greedily: the same boxes in the same order as torchvision's ``batched_nms``.

    A box is removed when its overlap with a better kept box of its own group exceeds the threshold. Equal scores are
    ordered by index. One loop serves all images, so each turn is a few kernels for any number of images. A turn
    decides the next tile of boxes of every image. The loop ends when every image has kept ``max_output`` boxes or has
    no candidates left. Nothing is differentiated.

    Args:
      boxes: ``[..., p, 4]``, where the leading axes are images.
      scores: ``[..., p]``.
      groups: int32 ``[..., p]``, classes or pyramid levels; boxes of different groups do not suppress each other. None
        puts all boxes in one group.
      valid: bool ``[..., p]``; False leaves a box out. None keeps all.
      iou_threshold: a box is removed if its overlap with a better one is larger, in 0..1.
      max_output: maximum number of boxes to return per image; None returns up to p.

    Example:
      >>> boxes = jnp.array([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 9.0], [20.0, 20.0, 30.0, 30.0]])
      >>> kept = jax.jit(nms)(boxes, jnp.array([0.9, 0.8, 0.7]))  # the second overlaps the first with IoU 0.9
      >>> kept.indices.tolist(), kept.valid.tolist()
      ([0, 2, 0], [True, True, False])
    """
    groups = jnp.zeros(scores.shape, jnp.int32) if groups is None else groups
    valid = jnp.ones(scores.shape, bool) if valid is None else valid
    max_output = scores.shape[-1] if max_output is None else max_output
    chex.assert_shape(boxes, (*valid.shape, 4))
    chex.assert_equal_shape([scores, groups, valid])
    chex.assert_scalar_in(valid.shape[-1], 0, 2**24)  # float32 holds the indices exactly
    images = valid.shape[:-1]
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[len(images) :]), (boxes, scores, groups, valid))
    candidates = jax.vmap(_by_score)(*jax.lax.stop_gradient(flat))
    kept = _keep(candidates, _largest_float32_up_to(iou_threshold), max_output)
    shape = (*images, max_output)
    indices = jnp.where(kept.valid, kept.indices, 0)[:, :max_output]
    return NmsResult(indices.reshape(shape), kept.valid[:, :max_output].reshape(shape))


def _keep(candidates: _Candidates, threshold: np.float32, max_output: int) -> _Candidates:
    """Returns the candidates ``[b, max_output + TILE, ...]`` that are kept; the first ``max_output`` are final."""
    num_images, num_candidates = candidates.valid.shape
    counts = candidates.valid.sum(axis=1)
    suppresses = jax.vmap(partial(_suppresses, threshold=threshold))

    def unfinished(state):
        tile_number, _, num_kept = state
        has_more = (tile_number * TILE < counts) & (num_kept < max_output)
        return (tile_number < num_candidates // TILE) & has_more.any()

    def decide_tile(state):
        tile_number, table, num_kept = state
        tile = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, tile_number * TILE, TILE, axis=1), candidates)
        removed = suppresses(_from_table(table, num_kept), tile).any(axis=1)
        survivors = _greedy(suppresses(tile, tile), tile.valid & ~removed)
        return tile_number + 1, *_append(table, num_kept, _to_table(tile), survivors)

    # The table has room for one tile more than is asked for, so the last tile fits.
    table = jnp.zeros((num_images, max_output + TILE, 6), jnp.float32)
    start = (0, table, jnp.zeros(num_images, jnp.int32))
    _, table, num_kept = jax.lax.while_loop(unfinished, decide_tile, start)
    return _from_table(table, num_kept)


@jax.vmap
def _append(
    table: jax.Array, num_kept: jax.Array, rows: jax.Array, survivors: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Writes the rows of an image that survive behind the first ``num_kept`` rows of its table, and counts them too.

    Each row of the table reads its new content. A scatter would be shorter, but the partitioner of a mesh gathers its
    operands from all devices. It would not do so for a scatter with a batch axis, which ONNX cannot express. Sums over
    comparisons are single kernels on a GPU, a cumulative sum and a search are several.
    """
    numbers, offsets = jnp.arange(len(rows)), jnp.arange(len(table)) - num_kept
    counts = (survivors[None] & (numbers[None] <= numbers[:, None])).sum(axis=1, dtype=jnp.int32)  # up to each row
    # The n-th survivor, counted from 0, is behind all rows up to which n or fewer survive.
    origins = (counts[None] <= numbers[:, None]).sum(axis=1, dtype=jnp.int32)
    new = rows[jnp.minimum(origins, len(rows) - 1)][jnp.clip(offsets, 0, len(rows) - 1)]
    table = jnp.where(((offsets >= 0) & (offsets < counts[-1]))[:, None], new, table)
    return table, num_kept + counts[-1]


def _to_table(candidates: _Candidates) -> jax.Array:
    """Packs boxes, groups and indices into float32 ``[b, n, 6]``, so that a turn writes one array."""
    boxes, groups, _, indices = candidates
    return jnp.concatenate([boxes, groups[..., None], indices[..., None]], axis=-1, dtype=jnp.float32)


def _from_table(table: jax.Array, num_kept: jax.Array) -> _Candidates:
    """Unpacks ``_to_table``; the first ``num_kept [b]`` rows are valid."""
    valid = jnp.arange(table.shape[1])[None] < num_kept[:, None]
    return _Candidates(table[..., :4], table[..., 4].astype(jnp.int32), valid, table[..., 5].astype(jnp.int32))


def _by_score(boxes: jax.Array, scores: jax.Array, groups: jax.Array, valid: jax.Array) -> _Candidates:
    """Sorts the boxes of one image by score, invalid ones last, and pads them to whole tiles."""
    count = scores.shape[0]
    numbers = jnp.arange(count, dtype=jnp.int32)
    _, _, order = jax.lax.sort((~valid, -scores, numbers), num_keys=2, is_stable=True)
    padding = -count % TILE
    sorted_ones = _Candidates(boxes[order], groups[order], valid[order], order)
    return jax.tree.map(lambda x: jnp.pad(x, [(0, padding)] + [(0, 0)] * (x.ndim - 1)), sorted_ones)


def _suppresses(better: _Candidates, others: _Candidates, threshold: np.float32) -> jax.Array:
    """Returns bool ``[n, p]``, True where a valid one of n better boxes would suppress one of the p others."""
    overlaps = box_ops.pairwise_iou(better.boxes, others.boxes) > threshold
    return overlaps & (better.groups[:, None] == others.groups[None, :]) & better.valid[:, None]


def _greedy(suppresses: jax.Array, candidates: jax.Array) -> jax.Array:
    """Decides which of the candidates ``[b, n]``, best first, survive, given who would suppress whom ``[b, n, n]``.

    Repeatedly removes the candidates that a survivor suppresses. A box is final once all boxes with higher scores are
    final, so a state that no longer changes is the greedy answer. The number of turns is the length of the longest
    chain of boxes in which each depends on the one before, commonly a handful.
    """
    suppresses = jnp.triu(suppresses, k=1)

    def turn(state):
        survivors, _ = state
        removed = (suppresses & survivors[:, :, None]).any(axis=1)
        return candidates & ~removed, survivors

    def changed(state):
        survivors, before = state
        return (survivors != before).any()

    return jax.lax.while_loop(changed, turn, (candidates, ~candidates))[0]


def _largest_float32_up_to(threshold: float) -> np.float32:
    """Returns the float32 number that decides as the float64 threshold does, with which torchvision compares."""
    rounded = np.float32(threshold)
    return rounded if float(rounded) <= threshold else np.nextafter(rounded, np.float32(-np.inf))

"""Suppression: by hand, against a plain greedy loop and torchvision's nms, with ties, padding and several groups."""

from functools import partial

import jax
import numpy as np
import pytest
from torchvision_oracle import greedy_nms, load_torchvision

from jaxseg.ops.nms import TILE, nms

COUNT, OUTPUT = 3 * TILE - 70, 3 * TILE


@partial(jax.jit, static_argnames=("iou_threshold", "max_output"))
def jitted_nms(boxes, scores, groups, valid, iou_threshold=0.5, max_output=OUTPUT):
    return nms(boxes, scores, groups, valid, iou_threshold=iou_threshold, max_output=max_output)


def kept_indices(kept):
    kept = jax.device_get(kept)
    assert (np.diff(kept.valid.astype(int)) <= 0).all()  # used slots come first
    assert (kept.indices[~kept.valid] == 0).all()
    return kept.indices[kept.valid]


def padded(*arguments):
    """Invalid boxes added up to COUNT, so that small cases share the compiled function of the large ones."""
    return tuple(np.pad(x, [(0, COUNT - len(x))] + [(0, 0)] * (x.ndim - 1)) for x in arguments)


def greedy_by_group(boxes, scores, groups, valid, threshold):
    """Each group's greedy answer, all merged by score, equal scores by index."""
    kept = []
    for group in np.unique(groups[valid]):
        members = np.flatnonzero((groups == group) & valid)
        kept.extend(members[greedy_nms(boxes[members], scores[members], threshold)])
    kept = np.sort(np.array(kept, int))
    return kept[np.argsort(-scores[kept], kind="stable")]


def crowded(seed, count=COUNT, groups=1, whole=False, extent=200.0):
    """Overlapping boxes with few distinct scores, so that many tie; with whole=True many overlaps tie too."""
    random = np.random.default_rng(seed)
    centers, sides = random.uniform(0, extent, (count, 2)), random.uniform(8, 80, (count, 2))
    boxes = np.concatenate([centers - sides / 2, centers + sides / 2], axis=1).astype(np.float32)
    scores = (random.integers(0, 60, count) / 60).astype(np.float32)
    group = random.integers(0, groups, count).astype(np.int32)
    return np.round(boxes / 4) * 4 if whole else boxes, scores, group, random.random(count) < 0.9


def test_by_hand():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [0, 0, 10, 4], [0, 0, 10, 10]], np.float32)
    scores = np.array([0.5, 0.9, 0.9, 0.1, 0.95], np.float32)
    groups, valid = np.array([0, 0, 0, 0, 1], np.int32), np.array([True] * 5)
    assert kept_indices(jitted_nms(*padded(boxes, scores, groups, valid))).tolist() == [4, 1, 2, 3]
    valid[1] = False
    assert kept_indices(jitted_nms(*padded(boxes, scores, groups, valid))).tolist() == [4, 2, 0, 3]
    assert kept_indices(jitted_nms(*padded(boxes, scores, groups, np.zeros(5, bool)))).size == 0


def test_a_fallen_box_suppresses_nothing():
    # A chain in which each box overlaps only its neighbors: every second one stays, across tiles too.
    left = np.arange(COUNT, dtype=np.float32) * 4
    boxes = np.stack([left, 0 * left, left + 10, 0 * left + 10], axis=1)  # neighbors .43, next but one .11
    scores = np.linspace(1, 0, COUNT, dtype=np.float32)
    kept = kept_indices(jitted_nms(boxes, scores, np.zeros(COUNT, np.int32), np.ones(COUNT, bool), iou_threshold=0.4))
    np.testing.assert_array_equal(kept, np.arange(0, COUNT, 2))


@pytest.mark.parametrize("threshold", [0.5, 0.7])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("groups", [1, 5])
def test_same_as_a_greedy_loop(threshold, whole, groups):
    arguments = crowded(1, groups=groups, whole=whole)
    kept = kept_indices(jitted_nms(*arguments, iou_threshold=threshold))
    np.testing.assert_array_equal(kept, greedy_by_group(*arguments, threshold))


def test_the_output_size_cuts_the_worst():
    arguments = crowded(1)
    everything = kept_indices(jitted_nms(*arguments))
    np.testing.assert_array_equal(kept_indices(jitted_nms(*arguments, max_output=40)), everything[:40])


def test_same_as_torchvision():
    torchvision = load_torchvision()
    torch = torchvision.torch
    for seed, whole in ((2, False), (3, True)):
        boxes, scores, groups, _ = crowded(seed, whole=whole)
        expected = torchvision.ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.5).numpy()
        kept = kept_indices(jitted_nms(boxes, scores, groups, np.ones(COUNT, bool)))
        np.testing.assert_array_equal(kept, expected)


def test_the_threshold_is_compared_in_float64():
    # Overlap exactly float32(0.1), which is above the float64 0.1: suppressed, though float32 numbers would tie.
    boxes = np.array([[0, 0, 10, 10], [0, 0, 1, 10]], np.float32)
    arguments = boxes, np.array([1, 0.5], np.float32), np.zeros(2, np.int32), np.ones(2, bool)
    assert kept_indices(jitted_nms(*padded(*arguments), iou_threshold=0.1)).tolist() == [0]
    # Exactly the threshold, and exact in both: not above it.
    boxes = np.array([[0, 0, 10, 10], [0, 0, 5, 10]], np.float32)
    assert kept_indices(jitted_nms(*padded(boxes, *arguments[1:]))).tolist() == [0, 1]


def test_boxes_without_area_survive_without_harm():
    boxes = np.zeros((4, 4), np.float32)
    arguments = padded(boxes, np.full(4, 0.5, np.float32), np.zeros(4, np.int32), np.ones(4, bool))
    kept = kept_indices(jitted_nms(*arguments))
    np.testing.assert_array_equal(kept, np.arange(4))


def test_vmaps_over_images():
    images = [crowded(seed, groups=3) for seed in (4, 5)]
    images[1][3][20:] = False
    together = jax.jit(jax.vmap(partial(nms, iou_threshold=0.5, max_output=50)))(
        *(np.stack(x) for x in zip(*images, strict=True))
    )
    for i, arguments in enumerate(images):
        kept = kept_indices(jax.tree.map(lambda x, i=i: x[i], together))
        np.testing.assert_array_equal(kept, greedy_by_group(*arguments, 0.5)[:50])


def test_thousands_of_boxes():
    arguments = crowded(6, count=5000, groups=4, extent=400.0)
    kept = kept_indices(jitted_nms(*arguments, iou_threshold=0.7, max_output=2000))
    np.testing.assert_array_equal(kept, greedy_by_group(*arguments, 0.7)[:2000])


def test_images_of_a_batch_do_not_see_each_other():
    """Each image of a batch keeps what it keeps alone, although the images need different numbers of turns."""
    images = [crowded(seed, groups=3) for seed in (0, 1)]
    few = tuple(x.copy() for x in images[1])
    few[3][5:] = False
    batch = tuple(np.stack(x) for x in zip(*images, few, strict=True))
    together = jitted_nms(*batch, max_output=300)
    for i, image in enumerate([*images, few]):
        alone = jitted_nms(*image, max_output=300)
        np.testing.assert_array_equal(together.indices[i], alone.indices)
        np.testing.assert_array_equal(together.valid[i], alone.valid)

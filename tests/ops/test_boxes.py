"""Box geometry: known answers, inverse of each other, torchvision's numbers, no NaN from degenerate boxes."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from torchvision_oracle import load_torchvision
from xla_flags import AS_USERS_COMPILE

from jaxseg.ops import boxes as box_ops

HEAD_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
DEGENERATE = np.array(
    [[5, 5, 5, 5], [5, 5, 5, 9], [9, 5, 5, 9], [9, 9, 5, 5], [0, 0, 0, 0], [-3, -3, -3, 7], [1, 1, 4, 3]], np.float32
)
# Optimized, since that is where a compiler might change the last bit.
pairwise_iou = jax.jit(box_ops.pairwise_iou, compiler_options=AS_USERS_COMPILE)


def random_boxes(seed, count, extent=100.0):
    corners = np.random.default_rng(seed).uniform(0, extent, (count, 2, 2)).astype(np.float32)
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


def numpy_iou(boxes, others):
    top_left = np.maximum(boxes[:, None, :2], others[None, :, :2])
    bottom_right = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    overlap = np.maximum(bottom_right - top_left, np.float32(0))
    intersection = overlap[..., 0] * overlap[..., 1]
    areas = [(b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (boxes, others)]
    return intersection / (areas[0][:, None] + areas[1][None, :] - intersection)


def test_area_and_iou_by_hand():
    boxes = jnp.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 21, 22]])
    chex.assert_trees_all_close(box_ops.area(boxes), jnp.array([100.0, 100, 2]))
    expected = jnp.array([[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]])
    chex.assert_trees_all_close(pairwise_iou(boxes, boxes), expected, rtol=1e-7)


def test_iou_is_bitwise_numpys():
    boxes, others = random_boxes(0, 300), random_boxes(1, 200)
    np.testing.assert_array_equal(pairwise_iou(boxes, others), numpy_iou(boxes, others))


def test_iou_is_bitwise_torchvisions():
    torchvision = load_torchvision()
    boxes, others = random_boxes(2, 300), random_boxes(3, 200)
    expected = torchvision.ops.box_iou(*map(torchvision.torch.from_numpy, (boxes, others))).numpy()
    np.testing.assert_array_equal(pairwise_iou(boxes, others), expected)


def test_clip_keeps_boxes_inside_a_traced_size():
    boxes = jnp.array([[-5.0, -6, 30, 40], [2, 3, 4, 5], [50, 60, 70, 80]])
    clipped = jax.jit(box_ops.clip)(boxes, jnp.int32(20), jnp.int32(10))
    chex.assert_trees_all_close(clipped, jnp.array([[0.0, 0, 10, 20], [2, 3, 4, 5], [10, 20, 10, 20]]))


def test_large_enough_counts_both_sides():
    boxes = jnp.array([[0.0, 0, 1, 1], [0, 0, 1, 0.999], [0, 0, 5, 0], [5, 5, 4, 9]])
    assert box_ops.large_enough(boxes, 1.0).tolist() == [True, False, False, False]


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), HEAD_WEIGHTS])
def test_decode_inverts_encode(weights):
    boxes, gt_boxes = random_boxes(4, 50), random_boxes(5, 50)
    boxes[:, 2:] += 2  # a side grows by less than the limit
    deltas = box_ops.encode(gt_boxes, boxes, weights)
    chex.assert_trees_all_close(box_ops.decode(deltas, boxes, weights), jnp.asarray(gt_boxes), atol=1e-3)


def test_coding_by_hand():
    box = jnp.array([[10.0, 10, 20, 30]])
    deltas = box_ops.encode(jnp.array([[15.0, 10, 25, 30]]), box, HEAD_WEIGHTS)
    chex.assert_trees_all_close(deltas, jnp.array([[5.0, 0, 0, 0]]))  # half a width, times 10
    grown = box_ops.decode(jnp.array([[0.0, 0, 5 * np.log(2), 0]]), box, HEAD_WEIGHTS)
    chex.assert_trees_all_close(grown, jnp.array([[5.0, 10, 25, 30]]), rtol=1e-6)


def test_decode_limits_growth_only_upwards():
    box = jnp.array([[0.0, 0, 16, 16]])
    huge = box_ops.decode(jnp.array([[0.0, 0, 99, -99]]), box, (1.0, 1.0, 1.0, 1.0))
    chex.assert_trees_all_close(huge, jnp.array([[-492.0, 8, 508, 8]]), rtol=1e-5)


def test_coding_agrees_with_torchvision():
    torchvision = load_torchvision()
    torch = torchvision.torch
    coder = torchvision.models.detection._utils.BoxCoder(HEAD_WEIGHTS)
    boxes, gt_boxes = random_boxes(6, 40), random_boxes(7, 40)
    expected = coder.encode_single(torch.from_numpy(gt_boxes), torch.from_numpy(boxes)).numpy()
    chex.assert_trees_all_close(
        np.asarray(box_ops.encode(gt_boxes, boxes, HEAD_WEIGHTS)), expected, rtol=1e-5, atol=1e-5
    )
    deltas = np.random.default_rng(8).normal(0, 8, (40, 3 * 4)).astype(np.float32)
    expected = coder.decode_single(torch.from_numpy(deltas), torch.from_numpy(boxes)).numpy().reshape(40, 3, 4)
    decoded = box_ops.decode(deltas.reshape(40, 3, 4), boxes[:, None, :], HEAD_WEIGHTS)
    chex.assert_trees_all_close(np.asarray(decoded), expected, rtol=1e-5, atol=1e-3)


def test_degenerate_boxes_stay_finite_in_value_and_gradient():
    def everything(boxes, deltas):
        coded = box_ops.encode(boxes, DEGENERATE[::-1], HEAD_WEIGHTS).sum()
        decoded = box_ops.decode(deltas, boxes, HEAD_WEIGHTS).sum()
        return coded + decoded + box_ops.pairwise_iou(boxes, jnp.asarray(DEGENERATE)).sum() + box_ops.area(boxes).sum()

    value, gradients = jax.jit(jax.value_and_grad(everything, argnums=(0, 1)))(
        jnp.asarray(DEGENERATE), jnp.ones((7, 4))
    )
    chex.assert_tree_all_finite((value, gradients))
    iou = pairwise_iou(DEGENERATE, DEGENERATE)
    assert iou[-1, -1] == 1
    assert iou.sum() == 1


def test_gradient_of_coding():
    boxes, gt_boxes = jnp.asarray(random_boxes(9, 4, 10.0)), jnp.asarray(random_boxes(10, 4, 10.0))
    weights = (1.0, 1.0, 1.0, 1.0)
    encode = jax.jit(lambda x: box_ops.encode(x, boxes, weights))
    decode = jax.jit(lambda x: box_ops.decode(x, boxes, weights))
    check_grads(encode, (gt_boxes,), order=1, modes=["rev"], eps=1e-2)
    check_grads(decode, (jnp.full((4, 4), 0.1),), order=1, modes=["rev"], eps=1e-2)

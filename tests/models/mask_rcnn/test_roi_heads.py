from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxseg.models.mask_rcnn import roi_heads
from jaxseg.models.mask_rcnn.postprocessing import DetectionConfig, detect
from jaxseg.models.mask_rcnn.roi_heads import masks_of_classes, pool

LOGITS = {"dog": [0.0, 4.0, 0.0], "cat": [0.0, 0.0, 3.0], "nothing": [9.0, 0.0, 0.0], "either": [-9.0, 2.0, 2.0]}


ROWS = 9  # one shape for all tests, so that few programs are compiled
jitted = jax.jit(detect, static_argnums=5)


def detections(rows, boxes, valid=None, deltas=None):
    """Detections among boxes whose logits are named; three classes, of which the first is the background."""
    unused = ROWS - len(rows)
    valid = np.array((valid or [True] * len(rows)) + [False] * unused)
    logits = np.array([LOGITS[name] for name in rows] + [LOGITS["dog"]] * unused, np.float32)
    boxes = np.concatenate([np.array(boxes, np.float32), np.tile(np.float32([60, 60, 75, 75]), (unused, 1))])
    deltas = np.zeros((len(rows), 3, 4), np.float32) if deltas is None else deltas
    deltas = np.pad(deltas, ((0, unused), (0, 0), (0, 0)))
    config = DetectionConfig(max_detections=6, score_threshold=0.3)
    found = jitted(logits[None], deltas[None], boxes[None], valid[None], np.array([[80, 100]]), config)
    return jax.tree.map(lambda x: np.asarray(x[0]), found)


def test_overlapping_boxes_of_one_class_become_one():
    boxes = [[0, 0, 20, 20], [1, 0, 21, 20], [50, 50, 70, 70]]
    found = detections(["dog", "dog", "dog"], boxes)
    assert found.valid.sum() == 2
    assert found.classes[:2].tolist() == [1, 1]
    np.testing.assert_allclose(found.boxes[:2], [boxes[0], boxes[2]], atol=1e-5)


def test_overlapping_boxes_of_two_classes_stay_two():
    found = detections(["dog", "cat"], [[0, 0, 20, 20], [1, 0, 21, 20]])
    assert found.classes[found.valid].tolist() == [1, 2]
    np.testing.assert_allclose(found.scores[:2], [jax.nn.softmax(jnp.array(LOGITS[n])).max() for n in ("dog", "cat")])


def test_one_box_can_be_two_classes():
    found = detections(["either"], [[0, 0, 20, 20]])
    assert found.classes[found.valid].tolist() == [1, 2]


def test_background_low_scores_thin_and_unused_boxes_are_dropped():
    boxes = [[0, 0, 20, 20], [50, 50, 70, 70], [0, 0, 20, 0.001], [30, 30, 40, 40]]
    found = detections(["nothing", "dog", "dog", "dog"], boxes, valid=[True, True, True, False])
    assert found.valid.tolist() == [True] + [False] * 5
    np.testing.assert_allclose(found.boxes[0], boxes[1], atol=1e-5)


def test_boxes_are_clipped_and_slots_limited():
    boxes = [[90, 70, 300, 300]] + [[10 * i, 0, 10 * i + 8, 8] for i in range(8)]
    found = detections(["dog"] * 9, boxes)
    assert found.valid.all()
    np.testing.assert_allclose(found.boxes[0], [90, 70, 100, 80], atol=1e-4)


def test_each_class_has_its_own_deltas_unless_they_are_shared():
    deltas = np.zeros((1, 3, 4), np.float32)
    deltas[0, 2, 0] = 5.0  # half a width to the right, for the second class
    boxes = [[0, 0, 20, 20]]
    found = detections(["either"], boxes, deltas=deltas)
    np.testing.assert_allclose(found.boxes[:2], [[0, 0, 20, 20], [10, 0, 30, 20]], atol=1e-4)
    shared = detections(["either"], boxes, deltas=deltas[:, 2:])
    np.testing.assert_allclose(shared.boxes[:2], [[10, 0, 30, 20]] * 2, atol=1e-4)


def test_the_mask_of_its_class_is_chosen():
    logits = jnp.arange(2 * 3 * 3 * 4, dtype=jnp.float32).reshape(2, 3, 3, 4)
    chosen = masks_of_classes(logits, jnp.array([3, 1]))
    chex.assert_trees_all_equal(chosen, jnp.stack([logits[0, ..., 3], logits[1, ..., 1]]))
    chex.assert_trees_all_equal(masks_of_classes(logits[..., :1], jnp.array([3, 1])), logits[..., 0])


def test_a_box_is_pooled_from_the_level_of_its_size():
    pyramid = [np.full((1, 128 >> i, 128 >> i, 1), float(i), np.float32) for i in range(5)]
    boxes = np.float32([[[2, 2, 2 + side, 2 + side] for side in (30, 112, 224, 500)]])
    pooled = jax.jit(pool, static_argnums=(3, 4))(pyramid, boxes, None, 7, "gather")
    expected = np.broadcast_to(np.float32([0, 1, 2, 3])[:, None, None, None], (4, 7, 7, 1))
    chex.assert_trees_all_close(pooled, expected)


def in_used_slots(kernel, regions, valid):
    return roi_heads.in_used_slots(lambda x, valid: jnp.sin(x @ kernel), regions, valid)


def in_all_slots(kernel, regions, valid):
    return jnp.sin(regions.reshape(*valid.shape, -1) @ kernel)


@partial(jax.jit, static_argnums=0)
def outputs_and_gradients(outputs, kernel, regions, valid):
    def loss(kernel, regions):
        return jnp.where(valid[..., None], outputs(kernel, regions, valid) ** 2, 0).sum()

    return outputs(kernel, regions, valid), jax.grad(loss, (0, 1))(kernel, regions)


@pytest.mark.parametrize("used", [0, 1, 16, 17, 40])
def test_a_head_is_applied_to_used_slots_only(used):
    """Used slots and their gradients are as without skipping; turns without a used slot yield 0."""
    random = np.random.default_rng(0)
    regions = random.standard_normal((2 * 40, 3), dtype=np.float32)
    kernel = random.standard_normal((3, 2), dtype=np.float32)
    valid = np.stack([np.arange(40) < used, np.arange(40) < used // 2])
    found, gradients = outputs_and_gradients(in_used_slots, kernel, regions, valid)
    expected, plain = outputs_and_gradients(in_all_slots, kernel, regions, valid)
    turns = -(-used // roi_heads.SLOTS_PER_TURN) * roi_heads.SLOTS_PER_TURN
    chex.assert_trees_all_close(found[:, :turns], expected[:, :turns], atol=1e-6)
    assert not found[:, turns:].any()
    chex.assert_trees_all_close(gradients, plain, atol=1e-5)

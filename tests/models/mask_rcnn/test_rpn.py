import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxseg.models.mask_rcnn.rpn import ProposalConfig, RPNHead, propose

proposed = jax.jit(propose, static_argnums=5)


@pytest.fixture
def boxes():
    """Two levels of three anchors each, far apart but for the second and third."""
    first = [[0, 0, 10, 10], [20, 0, 40, 20], [21, 0, 41, 20]]
    second = [[20, 0, 40, 20], [60, 60, 110, 110], [50, 0, 50, 30]]
    return [np.array([first], np.float32), np.array([second], np.float32)]


def chosen(boxes, logits, sizes=((100, 100),), valid=None, pre_nms_top_n=3, total=4):
    logits = [np.array([level], np.float32) for level in logits]
    valid = valid or [np.ones((1, 3), bool)] * 2
    deltas = [np.zeros((1, 3, 4), np.float32)] * 2
    return proposed(logits, deltas, boxes, valid, np.array(sizes), ProposalConfig(pre_nms_top_n, total))


def test_the_best_of_overlapping_boxes_stays_on_each_level(boxes):
    """The third box falls to the second; the equal one of the other level does not; the one without a width does."""
    found = chosen(boxes, [[1.0, 3.0, 2.0], [0.0, 4.0, 5.0]])
    assert found.valid.tolist() == [[True, True, True, True]]
    expected = [[60, 60, 100, 100], [20, 0, 40, 20], [0, 0, 10, 10], [20, 0, 40, 20]]
    chex.assert_trees_all_close(found.boxes[0], np.array(expected, np.float32))
    chex.assert_trees_all_close(found.scores[0], 1 / (1 + np.exp(-np.float32([4, 3, 1, 0]))))


def test_only_the_best_of_each_level_go_on(boxes):
    found = chosen(boxes, [[1.0, 3.0, 2.0], [0.0, 4.0, -1.0]], pre_nms_top_n=1)
    assert found.valid.tolist() == [[True, True, False, False]]


def test_only_the_best_of_all_levels_come_out(boxes):
    found = chosen(boxes, [[1.0, 3.0, 2.0], [0.0, 4.0, -1.0]], total=1)
    chex.assert_trees_all_close(found.boxes, np.array([[[60, 60, 100, 100]]], np.float32))


def test_anchors_beyond_the_extent_are_no_proposals(boxes):
    valid = [np.array([[True, False, True]])] * 2
    found = chosen(boxes, [[1.0, 3.0, 2.0], [0.0, 4.0, 5.0]], valid=valid)
    expected = [[21, 0, 41, 20], [0, 0, 10, 10], [20, 0, 40, 20]]
    chex.assert_trees_all_close(np.asarray(found.boxes)[found.valid], np.array(expected, np.float32))


def test_proposals_carry_no_gradient(boxes):
    @jax.jit
    @jax.grad
    def gradient(logits):
        deltas = [jnp.ones((1, 3, 4)) * logits[0, 0] * 0.1] * 2
        valid = [jnp.ones((1, 3), bool)] * 2
        found = propose([logits] * 2, deltas, boxes, valid, jnp.array([[100, 100]]), ProposalConfig(3, 4))
        return found.boxes.sum() + found.scores.sum()

    assert np.all(gradient(np.float32([[1, 3, 2]])) == 0)


@pytest.mark.parametrize("convs", [1, 2])
def test_anchors_go_by_row_column_and_shape(convs):
    """A change of one position of the map changes the logits of the anchors near it, and of no other."""
    model = RPNHead(convs, anchors=3)
    pyramid = [np.zeros((1, *size, 4), np.float32) for size in ((32, 48), (16, 24), (8, 12), (4, 6), (2, 3))]
    variables, apply = jax.jit(model.init)(jax.random.key(0), pyramid), jax.jit(model.apply)
    before, deltas = apply(variables, pyramid)
    assert [level.shape for level in before] == [(1, level.shape[1] * level.shape[2] * 3) for level in pyramid]
    assert deltas[0].shape == (1, 32 * 48 * 3, 4)
    first = pyramid[0].copy()  # the program may still read the array itself
    first[0, 10, 20] = 100.0
    after, _ = apply(variables, [first, *pyramid[1:]])
    changed = np.flatnonzero(np.any(np.reshape(after[0] - before[0], (32, 48, 3)) != 0, axis=(1, 2)))
    assert changed.tolist() == list(range(10 - convs, 11 + convs))

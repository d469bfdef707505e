import chex
import numpy as np

from jaxseg.data.geometry import boxes_of_masks


def test_known_boxes():
    masks = np.zeros((3, 6, 8), np.uint8)
    masks[0, 2, 5] = 1
    masks[1, 1:4, 2:8] = 1
    boxes = boxes_of_masks(masks)
    chex.assert_type(boxes, np.float32)
    np.testing.assert_array_equal(boxes, [[5, 2, 6, 3], [2, 1, 8, 4], [0, 0, 0, 0]])


def test_a_box_is_tight():
    masks = (np.random.default_rng(0).random((20, 9, 11)) < 0.05).astype(np.uint8)
    for mask, box in zip(masks, boxes_of_masks(masks), strict=True):
        x1, y1, x2, y2 = box.astype(int)
        inside = mask[y1:y2, x1:x2]
        assert inside.sum() == mask.sum()
        if mask.any():
            assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


def test_no_masks():
    chex.assert_shape(boxes_of_masks(np.zeros((0, 4, 5), np.uint8)), (0, 4))

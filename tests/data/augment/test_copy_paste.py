import chex
import numpy as np
import pytest

from jaxseg.data.augment.copy_paste import paste_objects, random_copy_paste
from jaxseg.data.geometry import boxes_of_masks
from jaxseg.types import InstanceExample, Objects


def example(color, size, *rectangles, crowd=()):
    """A plain image with rectangles [x1, y1, x2, y2], of class 1, 2, ..."""
    masks = np.zeros((len(rectangles), *size), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, rectangles, strict=True):
        mask[y1:y2, x1:x2] = 1
    classes = np.arange(1, len(rectangles) + 1, dtype=np.int32)
    objects = Objects(boxes_of_masks(masks), classes, masks, np.isin(classes, crowd))
    return InstanceExample(np.full((*size, 3), color, np.uint8), objects)


def test_what_is_hidden_in_part_shrinks_and_what_is_hidden_vanishes():
    below = example(10, (20, 30), (0, 0, 10, 10), (20, 0, 30, 10), (5, 1, 10, 9), (6, 0, 12, 20))
    above = example(200, (20, 30), (4, 0, 12, 10))
    result = paste_objects(below, above)
    # The third is hidden wholly, of the fourth the lower half remains.
    np.testing.assert_array_equal(
        result.objects.boxes, [[0, 0, 4, 10], [20, 0, 30, 10], [6, 10, 12, 20], [4, 0, 12, 10]]
    )
    np.testing.assert_array_equal(result.objects.classes, [1, 2, 4, 1])
    np.testing.assert_array_equal(boxes_of_masks(result.objects.masks), result.objects.boxes)
    assert result.objects.masks.sum(axis=0).max() == 1
    np.testing.assert_array_equal(result.image[:, :, 0] == 200, above.objects.masks[0] == 1)
    assert set(np.unique(result.image)) == {10, 200}


@pytest.mark.parametrize(("seen", "kept"), [(9, False), (10, True)])
def test_an_object_of_which_less_than_a_tenth_is_seen_is_dropped(seen, kept):
    below = example(0, (10, 100), (0, 0, 100, 1))
    result = paste_objects(below, example(9, (10, 100), (seen, 0, 100, 10)))
    assert len(result.objects.classes) == 1 + kept


@pytest.mark.parametrize("size", [(40, 40), (12, 15)])
def test_the_result_is_as_large_as_what_was_below(size):
    below = example(0, (20, 20), (0, 0, 3, 3))
    above = example(9, size, (5, 5, 12, 12), (size[1] - 3, size[0] - 3, size[1], size[0]))
    result = paste_objects(below, above)
    chex.assert_shape([result.image, result.objects.masks], [(20, 20, 3), (None, 20, 20)])
    if size == (40, 40):  # the second object lies outside
        np.testing.assert_array_equal(result.objects.boxes, [[0, 0, 3, 3], [5, 5, 12, 12]])
    else:
        np.testing.assert_array_equal(result.objects.boxes[1:], above.objects.boxes)


def test_an_object_cut_by_the_border_has_the_box_of_what_is_left():
    result = paste_objects(example(0, (10, 10)), example(9, (20, 20), (6, 2, 14, 15)))
    np.testing.assert_array_equal(result.objects.boxes, [[6, 2, 10, 10]])


def test_objects_are_pasted_with_even_chance_and_crowds_never():
    below = example(0, (8, 40))
    above = example(9, (8, 40), *((10 * i, 0, 10 * i + 5, 5) for i in range(4)), crowd=[4])
    pasted = [random_copy_paste(np.random.default_rng(seed), below, above).objects.classes for seed in range(200)]
    shares = np.bincount(np.concatenate(pasted), minlength=5) / 200
    assert shares[4] == 0
    assert (abs(shares[1:4] - 0.5) < 0.12).all()


def test_objects_without_a_mask_stay_below_and_are_never_pasted():
    below, above = example(0, (8, 40), (0, 0, 5, 5)), example(9, (8, 40), (2, 0, 9, 5))
    boxed = below._replace(objects=below.objects._replace(masks=0 * below.objects.masks))
    result = paste_objects(boxed, above)
    np.testing.assert_array_equal(result.objects.boxes, [[0, 0, 5, 5], [2, 0, 9, 5]])
    above = above._replace(objects=above.objects._replace(masks=0 * above.objects.masks))
    pasted = [random_copy_paste(np.random.default_rng(seed), below, above) for seed in range(10)]
    assert all(len(each.objects.classes) == 1 for each in pasted)

import numpy as np
from drawn_objects import draw_example

from jaxseg.data.instances.packing import empty_batch, fill_row, foremost


def test_a_row_holds_the_image_and_its_objects():
    example = draw_example(np.random.default_rng(0), (50, 41), 3)
    batch = empty_batch(2, (64, 96), 5)
    fill_row(batch, 1, example, 7, (100, 82))
    np.testing.assert_array_equal(batch.image[1, :50, :41], example.image)
    assert not batch.image[1, 50:].any()
    assert not batch.image[1, :, 41:].any()
    masks = np.unpackbits(batch.masks[1], axis=-1)
    assert masks.shape == (5, 64, 96)
    np.testing.assert_array_equal(masks[:3, :50, :41], example.objects.masks)
    assert masks.sum() == example.objects.masks.sum()
    np.testing.assert_array_equal(batch.boxes[1], np.pad(example.objects.boxes, ((0, 2), (0, 0))))
    np.testing.assert_array_equal(batch.classes[1], [*example.objects.classes, 0, 0])
    np.testing.assert_array_equal(batch.usable[1], [True, True, False, False, False])  # the third is a crowd
    assert (batch.sizes[1].tolist(), batch.original_sizes[1].tolist(), batch.index[1]) == ([50, 41], [100, 82], 7)
    np.testing.assert_array_equal(batch.valid, [False, True])


def test_filler_is_empty():
    batch = empty_batch(2, (32, 64), 3)
    assert not any(field.any() for field in (batch.image, batch.boxes, batch.classes, batch.masks, batch.usable))
    np.testing.assert_array_equal(batch.sizes, [[32, 64]] * 2)
    np.testing.assert_array_equal(batch.index, [-1, -1])


def test_the_smallest_objects_are_left_out_first_but_crowds_before_them():
    objects = draw_example(np.random.default_rng(1), (60, 60), 6).objects
    areas = (objects.boxes[:, 2:] - objects.boxes[:, :2]).prod(axis=1)
    np.testing.assert_array_equal(foremost(objects, 6).boxes, objects.boxes)
    np.testing.assert_array_equal(foremost(objects, 5).boxes, objects.boxes[:5])
    kept = foremost(objects, 2)
    np.testing.assert_array_equal(kept.boxes, objects.boxes[np.sort(np.argsort(-areas[:5])[:2])])
    assert len(foremost(objects, 0).classes) == 0

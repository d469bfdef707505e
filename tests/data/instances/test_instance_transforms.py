import chex
import numpy as np
import pytest
from drawn_objects import draw_example

from configs.base import get_config
from jaxseg.data.augment import read_pipeline
from jaxseg.data.geometry import boxes_of_masks
from jaxseg.data.instances.transforms import (
    View,
    apply_view,
    jittered_view,
    whole_view,
)
from jaxseg.data.resize import resize_objects
from jaxseg.types import InstanceExample, Objects


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def data():
    config = get_config().data
    config.update(min_size=48, max_size=96, crop_size=(64, 64))
    return config


def augmentation(data, **fields):
    data.augment.update(fields)
    return read_pipeline(data, "instances")


@pytest.mark.parametrize(
    "fields",
    [{"flip": True}, {"min_sizes": (20, 40, 90), "flip_vertical": True}, {"scale_jitter": (0.3, 2.0), "flip": True}],
)
@pytest.mark.parametrize(("rectangles", "rounding"), [(True, 1), (False, 2)])
def test_the_box_of_a_mask_stays_the_box(rng, data, fields, rectangles, rounding):
    """Within a pixel; two, where a mask has tips so thin that a smaller one has no pixel of them."""
    chosen = augmentation(data, **fields)
    seen = 0
    for _ in range(150):
        example = draw_example(rng, tuple(rng.integers(30, 120, 2)), 4, rectangles)
        view = chosen.sample_view(rng, example.image.shape[:2])
        result = apply_view(example, view)
        height, width = result.image.shape[:2]
        assert view.size == (height, width) == result.objects.masks.shape[1:]
        tight = boxes_of_masks(result.objects.masks)
        assert np.abs(tight - result.objects.boxes).max(initial=0) <= rounding + 1e-4
        assert (result.objects.boxes >= 0).all()
        assert (result.objects.boxes <= [width, height, width, height]).all()
        chex.assert_type([result.image, result.objects.boxes, result.objects.masks], [np.uint8, np.float32, np.uint8])
        seen += len(tight)
    assert seen > 200


def test_the_image_moves_with_its_objects(rng, data):
    """Objects painted in one color each are found by that color wherever a view has them."""
    chosen = augmentation(data, scale_jitter=(0.5, 2.0), flip=True)
    for _ in range(30):
        example = draw_example(rng, (80, 60), 1)
        mask = example.objects.masks[0]
        example = example._replace(image=np.repeat(mask[:, :, None] * np.uint8(200), 3, axis=2))
        result = apply_view(example, chosen.sample_view(rng, (80, 60)))
        painted = result.image[:, :, 0] > 100
        masks = result.objects.masks.any(axis=0)
        outline = 4 * sum(painted.shape)  # the masks' nearest pixels lie up to half an original pixel off
        assert np.count_nonzero(painted != masks) < 0.25 * max(masks.sum(), outline)


def test_whole_images_are_what_a_photograph_is_at_prediction(rng):
    example = draw_example(rng, (50, 80), 3)
    result = apply_view(example, whole_view((50, 80), 64, 120))
    expected = resize_objects(example.objects, (50, 80), (64, 102))
    chex.assert_shape(result.image, (64, 102, 3))
    np.testing.assert_array_equal(result.objects.masks, expected.masks)
    np.testing.assert_allclose(result.objects.boxes, expected.boxes, atol=1e-4)


@pytest.mark.parametrize(("axis", "name"), [(1, "flip_vertical"), (2, "flip")])
def test_a_flip_is_its_own_inverse(rng, axis, name):
    example = draw_example(rng, (40, 30), 3)
    view = View((40, 30), (0, 0), (40, 30), **{name: True})
    flipped = apply_view(example, view)
    np.testing.assert_array_equal(flipped.image, np.flip(example.image, axis - 1))
    np.testing.assert_array_equal(flipped.objects.masks, np.flip(example.objects.masks, axis))
    np.testing.assert_array_equal(flipped.objects.boxes, boxes_of_masks(flipped.objects.masks))
    chex.assert_trees_all_equal(apply_view(flipped, view), example)


def test_what_a_window_cuts_has_the_box_of_what_is_left():
    mask = np.zeros((20, 20), np.uint8)
    mask[np.arange(20), np.arange(20)] = 1  # a diagonal: its cut box is not the box of what is left
    masks = np.stack([mask, np.zeros_like(mask)])
    masks[1, 15:, :5] = 1
    objects = Objects(boxes_of_masks(masks), np.array([1, 2], np.int32), masks, np.zeros(2, bool))
    example = InstanceExample(np.zeros((20, 20, 3), np.uint8), objects)
    result = apply_view(example, View((20, 20), (2, 5), (10, 10)))
    np.testing.assert_array_equal(result.objects.boxes, [[0, 3, 7, 10]])
    np.testing.assert_array_equal(result.objects.classes, [1])  # nothing of the other is in the window


def test_jitter_is_relative_to_what_fits_the_window(rng):
    views = [jittered_view(rng, (50, 100), (0.1, 2.0), (64, 64)) for _ in range(300)]
    widths = np.array([view.resized[1] for view in views])
    assert widths.min() < 12
    assert widths.max() > 122
    for view in views:
        assert abs(view.resized[0] - view.resized[1] / 2) <= 1
        assert view.size == (min(view.resized[0], 64), min(view.resized[1], 64))
        for corner, size, resized in zip(view.corner, view.size, view.resized, strict=True):
            assert 0 <= corner <= resized - size
    assert len({view.corner[1] for view in views}) > 20


def test_an_image_that_shrinks_much_is_averaged(rng):
    image = np.zeros((64, 64, 3), np.uint8)
    image[::8] = 255  # an eighth of the rows, which skipping pixels would miss or take for all
    none = Objects(*(np.zeros(shape, np.float32) for shape in ((0, 4), (0,), (0, 64, 64), (0,))))
    result = apply_view(InstanceExample(image, none), View((8, 8), (0, 0), (8, 8), smooth=True))
    np.testing.assert_allclose(result.image, 255 / 8, atol=1)


def test_sides_that_contradict_each_other(data):
    data.min_size = 100
    with pytest.raises(ValueError, match="min_size is 100 and max_size 96; expected 0 < min_size <= max_size"):
        augmentation(data)


def test_an_object_without_a_mask_keeps_its_box():
    boxes = np.array([[2, 3, 10, 8], [12, 1, 18, 9], [15, 15, 19, 19]], np.float32)
    masks = np.zeros((3, 20, 20), np.uint8)
    masks[0, 3:8, 2:10] = 1
    objects = Objects(boxes, np.array([1, 2, 3], np.int32), masks, np.zeros(3, bool))
    example = InstanceExample(np.zeros((20, 20, 3), np.uint8), objects)
    whole = apply_view(example, View((40, 40), (0, 0), (40, 40), flip=True))
    np.testing.assert_array_equal(whole.objects.boxes, [[20, 6, 36, 16], [4, 2, 16, 18], [2, 30, 10, 38]])
    window = apply_view(example, View((20, 20), (0, 5), (12, 10)))  # cuts the first two; the third is outside
    np.testing.assert_array_equal(window.objects.boxes, [[0, 3, 5, 8], [7, 1, 10, 9]])
    np.testing.assert_array_equal(window.objects.masks.any(axis=(1, 2)), [True, False])

import chex
import numpy as np
import pytest

from configs.base import get_config
from jaxseg.data.augment.color import random_color
from jaxseg.data.semantic import transforms
from jaxseg.types import IGNORE, Example, Record

GREY = (128.0, 128.0, 128.0)
NOTHING = transforms.Augmentation((1.0, 1.0), (1.0, 1.0), False, 0.0, 0.0, 0.0, 0.0, 0.0)


def blobs(rng):
    """An example of squares, 40x56, whose image tells its label: red is 200 in class 1 and 0 in class 0."""
    label = np.kron(rng.integers(0, 2, (5, 7)), np.ones((8, 8), int)).astype(np.uint8)
    return Example(np.stack([200 * label, 255 - 200 * label, 30 * label], axis=-1), label)


def assert_moved_together(example):
    """Wherever the image is not blended between classes, it tells the label; that holds for most pixels."""
    red = example.image[..., 0]
    pure = np.isin(red, (0, 200)) & (example.label != IGNORE)
    np.testing.assert_array_equal(red[pure] // 200, example.label[pure])
    assert pure.sum() > 0.5 * (example.label != IGNORE).sum()


def bilinear(image, size):
    """Resizing with half-pixel centers, written out."""
    height, width = image.shape[:2]
    y = np.clip((np.arange(size[0]) + 0.5) * height / size[0] - 0.5, 0, height - 1)
    x = np.clip((np.arange(size[1]) + 0.5) * width / size[1] - 0.5, 0, width - 1)
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down, across = (y - top)[:, None, None], (x - left)[None, :, None]
    rows = image[top] * (1 - down) + image[bottom] * down
    return rows[:, left] * (1 - across) + rows[:, right] * across


@pytest.mark.parametrize("size", [(8, 8), (37, 90), (96, 33), (40, 57)])
def test_resize_samples_at_half_pixel_centres(size):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 56, 3), np.uint8)
    label = rng.integers(0, 5, (40, 56), np.uint8)
    resized = transforms.resize(Example(image, label), size)
    # OpenCV interpolates in fixed point.
    np.testing.assert_allclose(resized.image, bilinear(image, size), atol=1.0)
    y = (np.arange(size[0]) + 0.5) * 40 / size[0]
    x = (np.arange(size[1]) + 0.5) * 56 / size[1]
    clear = (y % 1 != 0)[:, None] & (x % 1 != 0)  # a center on an edge is as near to either pixel
    assert clear.any()
    expected = label[y.astype(int)][:, x.astype(int)]
    np.testing.assert_array_equal(resized.label[clear], expected[clear])


def test_image_and_label_move_together():
    chosen = NOTHING._replace(crop_scale=(0.4, 1.5), crop_ratio=(0.7, 1.4), flip=True, elastic=2.0)
    for seed in range(50):
        rng = np.random.default_rng(seed)
        example = transforms.augment(rng, blobs(rng), (64, 48), chosen, GREY)
        chex.assert_shape(example[:2], [(64, 48, 3), (64, 48)])
        assert_moved_together(example)
        assert set(np.unique(example.label)) <= {0, 1, IGNORE}


def test_identity_settings_are_the_identity():
    rng = np.random.default_rng(0)
    example = Example(rng.integers(0, 256, (33, 47, 3), np.uint8), rng.integers(0, 9, (33, 47), np.uint8))
    same = [
        transforms.augment(rng, example, (33, 47), NOTHING, GREY),
        transforms.crop(example, (0, 0, 47, 33), (33, 47), GREY),
        transforms.resize(example, (33, 47)),
        transforms.pad(example, (33, 47), GREY),
        Example(random_color(rng, example.image, NOTHING), example.label),
    ]
    for other in same:
        chex.assert_trees_all_equal(other, example)


def test_crop_of_whole_pixels_is_a_slice():
    rng = np.random.default_rng(1)
    example = Example(rng.integers(0, 256, (20, 30, 3), np.uint8), rng.integers(0, 9, (20, 30), np.uint8))
    cut = transforms.crop(example, (4, 3, 16, 19), (16, 12), GREY)
    chex.assert_trees_all_equal(cut, Example(example.image[3:19, 4:16], example.label[3:19, 4:16]))


def test_crop_beyond_the_image_pads():
    example = Example(np.full((10, 10, 3), 200, np.uint8), np.full((10, 10), 2, np.uint8))
    cut = transforms.crop(example, (-5, -2, 15, 18), (20, 20), (1.0, 2.0, 3.0))
    inside = np.zeros((20, 20), bool)
    inside[2:12, 5:15] = True
    np.testing.assert_array_equal(cut.label, np.where(inside, 2, IGNORE))
    np.testing.assert_array_equal(cut.image[inside], np.full((100, 3), 200))
    np.testing.assert_array_equal(cut.image[~inside], np.tile([1, 2, 3], (300, 1)))


def test_an_enlarged_crop_has_no_border_of_padding():
    example = Example(np.full((10, 10, 3), 200, np.uint8), np.zeros((10, 10), np.uint8))
    cut = transforms.crop(example, (0, 0, 5, 10), (40, 40), (0.0, 0.0, 0.0))
    assert cut.image.min() == 200
    assert cut.label.max() == 0


def test_pad_fills_bottom_and_right():
    example = Example(np.full((2, 3, 3), 9, np.uint8), np.ones((2, 3), np.uint8))
    padded = transforms.pad(example, (4, 4), (1.0, 2.0, 3.0))
    np.testing.assert_array_equal(padded.label, [[1, 1, 1, 255], [1, 1, 1, 255], [255] * 4, [255] * 4])
    np.testing.assert_array_equal(padded.image[3, 0], [1, 2, 3])
    with pytest.raises(ValueError, match="cannot pad"):
        transforms.pad(example, (1, 4), GREY)


def test_random_flip_flips_half_of_the_time():
    example = Example(np.arange(12, dtype=np.uint8).reshape(2, 2, 3), np.array([[0, 1], [2, 3]], np.uint8))
    flips = 0
    for seed in range(200):
        flipped = transforms.random_flip(np.random.default_rng(seed), example)
        turned = bool(flipped.label[0, 0] == 1)
        flips += turned
        order = slice(None, None, -1 if turned else 1)
        chex.assert_trees_all_equal(flipped, Example(example.image[:, order], example.label[:, order]))
    assert 70 < flips < 130


def test_random_crop_draws_the_whole_range():
    """A ramp tells where its crop lay: scale 0.5 to 1, uniform over all places that fit."""
    ramp = np.tile(np.linspace(0, 250, 100).astype(np.uint8)[None, :, None], (100, 1, 3))
    example = Example(ramp, np.zeros((100, 100), np.uint8))
    starts, widths = [], []
    for seed in range(300):
        cut = transforms.random_crop(
            np.random.default_rng(seed), example, (20, 20), scale=(0.5, 1.0), ratio=(1.0, 1.0), color=GREY
        )
        assert cut.label.max() == 0  # nothing was padded
        starts.append(cut.image[0, 0, 0] / 2.5)
        widths.append((int(cut.image[0, -1, 0]) - int(cut.image[0, 0, 0])) / 2.5 * 20 / 19)
    assert min(starts) < 3
    assert max(starts) > 35
    assert 48 < min(widths) < 55
    assert 95 < max(widths) < 103


def test_random_colour_changes_the_image_alone():
    rng = np.random.default_rng(0)
    example = blobs(rng)
    jitter = NOTHING._replace(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)
    changed = transforms.augment(rng, example, (40, 56), jitter, GREY)
    assert (changed.image != example.image).any()
    np.testing.assert_array_equal(changed.label, example.label)


def test_elastic_deformation_bends_image_and_label():
    example = blobs(np.random.default_rng(0))
    bent = transforms.augment(np.random.default_rng(1), example, (40, 56), NOTHING._replace(elastic=3.0), GREY)
    assert (bent.image != example.image).any()
    assert (bent.label != example.label).any()
    assert_moved_together(bent)


def test_records_are_checked():
    image, label = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8)
    ok = transforms.to_example(Record("a", image, np.where(label == 0, IGNORE, 0).astype(np.uint8)), (2, 2), 3)
    assert (ok.label == IGNORE).all()
    with pytest.raises(ValueError, match="a has no label map"):
        transforms.to_example(Record("a", image), (2, 2), 3)
    with pytest.raises(ValueError, match="b: the label is 5x4, its image 6x4"):
        transforms.to_example(Record("b", image, label[:, :5]), (2, 2), 3)
    with pytest.raises(ValueError, match="c: label value 3; expected 0 to 2"):
        transforms.to_example(Record("c", image, label + np.uint8(3)), (2, 2), 3)


def test_crops_are_cut_from_examples_that_are_large_enough():
    assert transforms.stored_size((100, 60), NOTHING) == (100, 60)
    assert transforms.stored_size((100, 60), NOTHING._replace(crop_scale=(0.8, 1.0))) == (125, 75)
    assert transforms.stored_size((100, 60), NOTHING._replace(crop_scale=(0.1, 2.0))) == (200, 120)


@pytest.mark.parametrize(("given", "size"), [((90, 120), (90, 120)), ((96,), (96, 96))])
def test_image_size(given, size):
    data = get_config().data
    data.image_size = given
    assert transforms.image_size(data) == size


@pytest.mark.parametrize("given", [(1, 2, 3), (0, 5), ()])
def test_wrong_image_size(given):
    data = get_config().data
    data.image_size = given
    with pytest.raises(ValueError, match=r"config\.data\.image_size"):
        transforms.image_size(data)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("crop_scale", (1.0, 0.5)),
        ("crop_ratio", (0.0, 1.0)),
        ("brightness", -0.1),
        ("hue", 2.0),
        ("elastic", -1.0),
        ("copy_paste", 0.5),
    ],
)
def test_wrong_augmentation(field, value):
    data = get_config().data
    data.augment[field] = value
    with pytest.raises(ValueError, match=field):
        transforms.augmentation(data)


def test_mean_colour_is_what_normalisation_turns_into_zero():
    data = get_config().data
    assert transforms.mean_color(data) == (128.0, 128.0, 128.0)
    data.mean, data.scale = (123.7, 116.3, 103.5), 1.0
    assert transforms.mean_color(data) == (124.0, 116.0, 104.0)

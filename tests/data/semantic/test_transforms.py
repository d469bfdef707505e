import chex
import numpy as np
import pytest

from configs.base import get_config
from jaxseg.data.semantic import transforms
from jaxseg.types import IGNORE, Example, Record

GREY = (128.0, 128.0, 128.0)


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


def test_identity_settings_are_the_identity():
    rng = np.random.default_rng(0)
    example = Example(rng.integers(0, 256, (33, 47, 3), np.uint8), rng.integers(0, 9, (33, 47), np.uint8))
    same = [
        transforms.crop(example, (0, 0, 47, 33), (33, 47), GREY),
        transforms.resize(example, (33, 47)),
        transforms.pad(example, (33, 47), GREY),
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


def test_records_are_checked():
    image, label = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8)
    ok = Record("a", image, np.where(label == 0, IGNORE, 0).astype(np.uint8))
    assert transforms.check_label(ok, 3) is ok
    with pytest.raises(ValueError, match="a has no label map"):
        transforms.check_label(Record("a", image), 3)
    with pytest.raises(ValueError, match="b: the label is 5x4, its image 6x4"):
        transforms.check_label(Record("b", image, label[:, :5]), 3)
    with pytest.raises(ValueError, match="c: label value 3; expected 0 to 2"):
        transforms.check_label(Record("c", image, label + np.uint8(3)), 3)


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


def test_mean_colour_is_what_normalisation_turns_into_zero():
    data = get_config().data
    assert transforms.mean_color(data) == (128.0, 128.0, 128.0)
    data.mean, data.scale = (123.7, 116.3, 103.5), 1.0
    assert transforms.mean_color(data) == (124.0, 116.0, 104.0)

import numpy as np

from jaxseg.data.augment.color import Color, change_color, random_color


def test_brightness_and_contrast_of_known_values():
    image = np.array([[[100, 100, 100], [50, 50, 50]]], np.uint8)
    np.testing.assert_array_equal(change_color(image, 0.2, 0, 0, 0)[0, :, 0], [120, 60])
    np.testing.assert_array_equal(change_color(image, 0, 1.0, 0, 0)[0, :, 0], [125, 25])
    np.testing.assert_array_equal(change_color(image, 0, -1.0, 0, 0)[0, :, 0], [75, 75])


def test_saturation_and_hue_leave_grey_alone_and_move_colours():
    gray = np.full((2, 2, 3), 90, np.uint8)
    np.testing.assert_array_equal(change_color(gray, 0, 0, 0.7, 0.3), gray)
    red = np.array([[[200, 0, 0]]], np.uint8)
    np.testing.assert_array_equal(change_color(red, 0, 0, 0, 1 / 3), [[[0, 200, 0]]])
    np.testing.assert_array_equal(change_color(red, 0, 0, 0, -1 / 3), [[[0, 0, 200]]])
    np.testing.assert_array_equal(change_color(red, 0, 0, -1, 0), [[[60, 60, 60]]])


def test_random_changes_stay_within_their_range():
    gray = np.full((1, 1, 3), 100, np.uint8)
    largest = Color(brightness=0.3)
    values = [int(random_color(np.random.default_rng(seed), gray, largest)[0, 0, 0]) for seed in range(300)]
    assert 70 <= min(values) < 75
    assert 125 < max(values) <= 130

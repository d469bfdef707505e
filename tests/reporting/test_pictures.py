"""Pictures of label maps show what they are said to show."""

import numpy as np
import pytest
from PIL import Image

from jaxseg.data.colors import seen_colors
from jaxseg.reporting import panels, pictures
from jaxseg.reporting.panels import GAP, add_legend
from jaxseg.types import IGNORE

PALETTE = np.array([[10, 20, 30], [200, 0, 0], [0, 200, 0]], np.uint8)
HEADING = 19  # pixels above each panel


def test_an_overlay_leaves_the_background_as_it_is():
    label = np.zeros((4, 6), np.uint8)
    label[:, 3:] = 1
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    blend = pictures.overlay(image, label, PALETTE, 0.25, background=(0,))
    np.testing.assert_array_equal(blend[:, :2], image[:, :2])
    np.testing.assert_array_equal(blend[:, 2], np.full((4, 3), 255))
    np.testing.assert_array_equal(blend[:, 3], np.broadcast_to(PALETTE[1], (4, 3)))
    np.testing.assert_array_equal(blend[:, 4:], np.rint(0.75 * image[:, 4:] + 0.25 * PALETTE[1]))


def test_an_overlay_colors_all_classes_where_none_is_background_and_never_ignored_pixels():
    label = np.array([[0, 0, 0, 1, 1, 1, IGNORE, IGNORE, IGNORE]], np.uint8)
    blend = pictures.overlay(np.full((1, 9, 3), 100, np.uint8), label, PALETTE, 0.5)
    np.testing.assert_array_equal(blend[0, 0], np.rint((100 + PALETTE[0]) / 2))
    np.testing.assert_array_equal(blend[0, 2:4], PALETTE[:2])
    np.testing.assert_array_equal(blend[0, 8], [100, 100, 100])


def test_background_is_known_by_its_name_wherever_it_is():
    assert pictures.background_classes(("pet", "Background", "border", "void")) == (1, 3)
    assert pictures.background_classes(("membrane", "cell")) == ()


def test_a_legend_names_classes_and_shares_from_the_largest():
    label = np.array([[0, 1, 1, 1], [1, 1, IGNORE, 2]], np.uint8)
    numbers, entries = pictures.label_shares(label, ("sky", "Straße", "cat"))
    assert numbers == [1, 0, 2]
    assert entries == ["Straße 62.5%", "sky 12.5%", "cat 12.5%"]


def test_the_overlay_of_a_narrow_photograph_keeps_its_width_and_has_its_legend_below():
    image, label = np.full((40, 60, 3), 90, np.uint8), np.zeros((40, 60), np.uint8)
    label[:, 30:] = 1
    shown = pictures.overlay_with_legend(image, label, PALETTE, ("background", "a name that is longer than the image"))
    assert shown.shape[1] == 60
    assert shown.shape[0] >= 40 + 2 * 18
    np.testing.assert_array_equal(shown[:40, :29], image[:, :29])
    below = shown[40:].reshape(-1, 3)
    for color in PALETTE[:2]:
        assert (below == color).all(axis=1).sum() > 100


def test_ignored_pixels_have_a_color_of_their_own():
    label = np.array([[0, IGNORE]], np.uint8)
    np.testing.assert_array_equal(pictures.color_labels(label, PALETTE), [[PALETTE[0], pictures.IGNORED_COLOR]])


def test_rows_show_image_truth_prediction_and_difference_and_a_smaller_prediction_in_the_middle():
    images = np.full((2, 200, 200, 3), 50, np.uint8)
    labels = np.ones((2, 200, 200), np.uint8)
    predictions = np.full((2, 100, 100), 1)
    predictions[:, :10] = 2
    shown = pictures.rows(images, labels, predictions, PALETTE)
    height = GAP + HEADING + 200
    assert shown.shape == (2 * height + GAP, 4 * 204 + GAP, 3)
    for row in (shown[:height], shown[height : 2 * height]):
        image, truth, prediction, difference = (row[-200:, 4 + 204 * i : 204 * (i + 1)] for i in range(4))
        np.testing.assert_array_equal(image, images[0])
        np.testing.assert_array_equal(truth, PALETTE[labels[0]])
        np.testing.assert_array_equal(prediction[60:150, 50:150], np.broadcast_to(PALETTE[1], (90, 100, 3)))
        np.testing.assert_array_equal(prediction[49, 50], pictures.IGNORED_COLOR)
        wrong = (difference == pictures.draw_hatch(200, 200)).all(axis=-1)
        assert wrong[50:60, 50:150].all()
        assert wrong.sum() == 10 * 100


def test_the_legend_of_a_narrow_picture_shows_whole_shares(monkeypatch):
    written = []
    monkeypatch.setattr(panels, "write_text", lambda canvas, text, *_: written.append(text))
    names = ("background 48.2%", "dog 35.0%")
    for width in (120, 300):
        panels.draw_legend(names, PALETTE[:2], width)
    assert written == [*names, *names]


def test_the_legend_of_a_large_photograph_is_enlarged_with_it():
    small, large = (
        add_legend(np.zeros((1, width, 3), np.uint8), ("cat",), [np.array([255, 0, 0])])[1:] for width in (1200, 6003)
    )
    np.testing.assert_array_equal(large[:, :6000], small.repeat(5, axis=0).repeat(5, axis=1))
    assert (large[:, 6000:] == 255).all()


def test_rows_of_small_images_are_enlarged_and_have_a_legend_of_the_classes_in_them():
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 50, 3), np.uint8)
    label = np.zeros((1, 64, 50), np.uint8)
    shown = pictures.rows(image, label, label, PALETTE)
    assert shown.shape == (GAP + HEADING + 4 * 64 + GAP, 4 * (4 * 50 + 4) + GAP, 3)
    np.testing.assert_array_equal(shown[23:-4:4, 4:204:4], image[0])
    np.testing.assert_array_equal(shown[26:-4:4, 7:204:4], image[0])
    legend = pictures.rows(image, label, label, PALETTE, ("a", "b", "c"))[len(shown) :].reshape(-1, 3)
    assert (legend == PALETTE[0]).all(axis=1).any()
    assert not (legend == PALETTE[1]).all(axis=1).any()


def test_errors_are_hatched_and_differ_from_the_image_below_in_every_vision():
    rng = np.random.default_rng(0)
    image, label = rng.integers(0, 256, (60, 60, 3), np.uint8), np.ones((60, 60), np.uint8)
    right, wrong = (pictures.mark_differences(image, label, other) for other in (label, 1 - label))
    colors, counts = np.unique(wrong.reshape(-1, 3), axis=0, return_counts=True)
    assert colors.tolist() == sorted(map(list, pictures.WRONG_COLORS))
    assert counts.tolist() == [1200, 2400]  # Any plain color could be that of a class, two in lines cannot.
    lightness = seen_colors(np.concatenate([np.unique(right.reshape(-1, 3), axis=0), np.array(pictures.WRONG_COLORS)]))
    below, (bright, dark) = lightness[:, :-2], lightness[:, -2:].transpose(1, 0, 2)
    assert np.linalg.norm(below - bright[:, None], axis=-1).min() > 50
    assert np.linalg.norm(bright - dark, axis=-1).min() > 50


@pytest.mark.parametrize(("shape", "kind"), [((5, 7, 3), np.uint8), ((5, 7), np.uint8), ((5, 7), np.uint16)])
def test_a_picture_is_written_in_its_own_values(tmp_path, shape, kind):
    image = np.random.default_rng(0).integers(0, np.iinfo(kind).max, shape, kind)
    pictures.write(tmp_path / "picture.png", image)
    with Image.open(tmp_path / "picture.png") as written:
        np.testing.assert_array_equal(np.asarray(written), image)

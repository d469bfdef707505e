"""Pictures show what they are said to show."""

import numpy as np
from PIL import Image

from jaxseg.reporting import curves, pictures
from jaxseg.types import IGNORE

PALETTE = np.array([[10, 20, 30], [200, 0, 0], [0, 200, 0]], np.uint8)


def test_a_mask_file_holds_the_classes_and_shows_the_palette(tmp_path):
    label = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
    pictures.write_mask(tmp_path / "mask.png", label, PALETTE)
    with Image.open(tmp_path / "mask.png") as mask:
        np.testing.assert_array_equal(np.asarray(mask), label)
        np.testing.assert_array_equal(np.asarray(mask.convert("RGB")), PALETTE[label])


def test_an_overlay_blends_inside_and_outlines_between_classes():
    label = np.zeros((4, 6), np.uint8)
    label[:, 3:] = 1
    blend = pictures.overlay(np.full((4, 6, 3), 100, np.uint8), label, PALETTE, opacity=0.25)
    np.testing.assert_array_equal(blend[0, 0], np.rint(0.75 * 100 + 0.25 * PALETTE[0]))
    np.testing.assert_array_equal(blend[0, 5], np.rint(0.75 * 100 + 0.25 * PALETTE[1]))
    np.testing.assert_array_equal(blend[0, 3], [255, 255, 255])


def test_ignored_pixels_have_a_colour_of_their_own():
    label = np.array([[0, IGNORE]], np.uint8)
    np.testing.assert_array_equal(pictures.colored(label, PALETTE), [[PALETTE[0], pictures.IGNORED_COLOR]])


def test_rows_show_image_truth_and_prediction_and_a_smaller_prediction_in_the_middle():
    images = np.full((2, 160, 160, 3), 50, np.uint8)
    labels = np.ones((2, 160, 160), np.uint8)
    shown = pictures.rows(images, labels, np.full((2, 80, 80), 2), PALETTE)
    assert shown.shape == (2 * 164 + 4, 3 * 164 + 4, 3)
    np.testing.assert_array_equal(shown[4:164, 4:164], images[0])
    np.testing.assert_array_equal(shown[4:164, 168:328], PALETTE[labels[0]])
    np.testing.assert_array_equal(shown[44:124, 372:452], np.broadcast_to(PALETTE[2], (80, 80, 3)))
    np.testing.assert_array_equal(shown[43, 372], pictures.IGNORED_COLOR)


def test_rows_of_small_images_are_enlarged():
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 48, 3), np.uint8)
    label = np.zeros((1, 64, 48), np.uint8)
    shown = pictures.rows(image, label, label, PALETTE)
    assert shown.shape == (3 * 64 + 8, 3 * (3 * 48 + 4) + 4, 3)
    np.testing.assert_array_equal(shown[4:196:3, 4:148:3], image[0])
    np.testing.assert_array_equal(shown[6:196:3, 6:148:3], image[0])


def test_a_picture_is_written_in_its_own_colours(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    pictures.write(tmp_path / "picture.png", image)
    with Image.open(tmp_path / "picture.png") as written:
        np.testing.assert_array_equal(np.asarray(written), image)


def test_rows_of_instances_are_enlarged_until_names_can_be_read():
    image = np.full((80, 100, 3), 50, np.uint8)
    masks = np.zeros((1, 80, 100), bool)
    masks[0, 40:60, 30:70] = True
    color = np.array([[250, 10, 10]], np.uint8)
    nothing = pictures.Annotations(masks[:0], np.zeros((0, 4)), [], color[:0])
    truth = pictures.Annotations(masks, np.array([[30.0, 40, 70, 60]]), ["disc"], color)
    large = np.full((400, 500, 3), 90, np.uint8)
    empty = pictures.Annotations(np.zeros((0, 400, 500), bool), np.zeros((0, 4)), [], color[:0])
    shown = pictures.instance_rows([(image, truth, nothing), (large, empty, empty)])
    assert shown.shape == (4 + 320 + 4 + 400 + 4, 3 * 504 + 4, 3)
    first, second, third = (shown[4:324, 4 + 404 * i : 404 * (i + 1)] for i in range(3))
    assert (first == 50).all()
    assert (third == 50).all()
    np.testing.assert_array_equal(second[200, 200], np.rint(0.55 * 50 + 0.45 * color[0]))
    np.testing.assert_array_equal(second[165:235, 120], np.broadcast_to(color[0], (70, 3)))
    np.testing.assert_array_equal(second[300, 300], [50, 50, 50])
    assert (shown[4:324, 1216:] == 255).all()


def squares(image, *corners, side=40):
    """Objects as they are drawn, in colors that differ in red, the first the most important."""
    masks = []
    for x, y in corners:
        masks.append(np.zeros(image.shape[:2], bool))
        masks[-1][y : y + side, x : x + side] = True
    boxes = np.array([(x, y, x + side, y + side) for x, y in corners], np.float32).reshape(-1, 4)
    colors = np.array([(200 - 20 * i, 0, 0) for i in range(len(corners))], np.uint8)
    return pictures.Annotations(masks, boxes, [f"square {i}" for i in range(len(corners))], colors)


def test_every_title_of_a_heap_of_objects_can_be_read():
    image = np.full((320, 320, 3), 90, np.uint8)
    heap = squares(image, (100, 100), (104, 103), (99, 105), (0, 0), (290, 300), (283, 150))
    alone = [pictures.Annotations(*(field[i : i + 1] for field in heap)) for i in range(len(heap.titles))]
    shown = pictures.instances(image, heap)
    for one in alone:
        # Somewhere in the picture of all stands its title exactly as in the picture of it alone.
        (plate,) = pictures._plates(one, image.shape[:2])
        written = pictures.instances(image, one)[pictures._area(plate)]
        windows = np.lib.stride_tricks.sliding_window_view(shown, written.shape)
        assert (windows == written).all(axis=(-3, -2, -1)).any(), one.titles


def test_titles_stay_within_the_image_however_small_it_is():
    for size in ((320, 320), (12, 300), (300, 20), (5, 5)):
        image = np.full((*size, 3), 90, np.uint8)
        assert pictures.instances(image, squares(image, (-5, -5), (size[1] - 3, size[0] - 3))).shape == image.shape


def test_rows_of_large_instances_are_reduced():
    image = np.full((1600, 2400, 3), 50, np.uint8)
    truth = squares(image, (600, 600), side=900)
    shown = pictures.instance_rows([(image, truth, truth._replace(masks=[], boxes=truth.boxes[:0], titles=[]))])
    assert shown.shape == (427 + 8, 3 * 644 + 4, 3)
    np.testing.assert_array_equal(shown[4 + 300, 648 + 300], np.rint(0.55 * 50 + 0.45 * truth.colors[0]))
    np.testing.assert_array_equal(shown[4 + 300, 648 + 420], [50, 50, 50])


def test_curves_of_losses_and_scores(tmp_path):
    lines = [{"step": step, "split": "train", "loss": 1 / step} for step in range(1, 9)]
    lines += [{"step": 4, "split": "val", "segm_AP": None}, {"step": 8, "split": "val", "segm_AP": 0.5}]
    curves.draw(tmp_path / "curves.png", lines)
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (1320, 480)

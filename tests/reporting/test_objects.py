"""Pictures of objects: masks, titles, panels."""

import numpy as np

from jaxseg.reporting import objects, pictures

HEADING = 19


def annotations(masks, boxes, titles, *colors):
    return objects.Annotations(list(masks), np.array(boxes, np.float32).reshape(-1, 4), titles, np.array(colors))


def squares(image, *corners, side=40):
    """Objects in colors that differ in red, the first the most important."""
    masks = []
    for x, y in corners:
        masks.append(np.zeros(image.shape[:2], bool))
        masks[-1][max(y, 0) : y + side, max(x, 0) : x + side] = True
    boxes = [(x, y, x + side, y + side) for x, y in corners]
    colors = [(200 - 20 * i, 0, 0) for i in range(len(corners))]
    return annotations(masks, boxes, [f"square {i}" for i in range(len(corners))], *colors)


def test_rows_of_instances_are_enlarged_until_names_can_be_read():
    image = np.full((80, 100, 3), 50, np.uint8)
    mask = np.zeros((80, 100), bool)
    mask[40:60, 30:70] = True
    truth = annotations([mask], [30, 40, 70, 60], ["disc"], (250, 10, 10))
    nothing = truth._replace(masks=[], boxes=truth.boxes[:0], titles=[])
    shown = pictures.instance_rows([(image, truth, nothing)])
    assert shown.shape[1] == 4 * 404 + 4
    panels = [shown[4 + HEADING : 4 + HEADING + 320, 4 + 404 * i : 404 * (i + 1)] for i in range(4)]
    assert (panels[0] == 50).all()
    assert (panels[2] == 50).all()
    np.testing.assert_array_equal(panels[1][200, 200], np.rint(0.55 * 50 + 0.45 * truth.colors[0]))
    np.testing.assert_array_equal(panels[1][170:235, 120], np.broadcast_to(truth.colors[0], (65, 3)))
    np.testing.assert_array_equal(panels[1][300, 300], [50, 50, 50])
    missed = (panels[3] == pictures.MISSED_COLOR).all(axis=-1)
    assert missed[160:240, 120:280].all()
    assert missed.sum() == 80 * 160


def test_the_difference_shows_what_was_missed_and_what_is_not_there():
    image = np.full((320, 320, 3), 90, np.uint8)
    picture = pictures.mark_object_differences(image, squares(image, (0, 0)), squares(image, (20, 0)))
    marks = pictures.MISSED_COLOR, pictures.draw_hatch(320, 320)
    missed, wrong = ((picture == mark).all(axis=-1) for mark in marks)
    assert missed[:40, :20].all()
    assert wrong[:40, 40:60].all()
    assert missed.sum() == wrong.sum() == 40 * 20


def test_the_difference_shows_objects_of_another_class():
    image = np.full((320, 320, 3), 90, np.uint8)
    truth = squares(image, (0, 0), (100, 0))._replace(classes=np.array([1, 2]))
    found = truth._replace(classes=[1, 1])
    picture = pictures.mark_object_differences(image, truth, found)
    wrong = (picture == pictures.draw_hatch(320, 320)).all(axis=-1)
    np.testing.assert_array_equal(wrong, truth.masks[1])
    stranger = found._replace(colors=found.colors + 1)
    assert not (pictures.mark_object_differences(image, truth, stranger) == pictures.draw_hatch(320, 320)).all(-1).any()


def test_every_title_of_a_heap_of_objects_can_be_read():
    image = np.full((320, 320, 3), 90, np.uint8)
    heap = squares(image, (100, 100), (104, 103), (99, 105), (0, 0), (290, 300), (283, 150))
    shown = objects.draw_objects(image, heap)
    for i, title in enumerate(heap.titles):
        # Its title appears somewhere in the picture of all objects, as in the picture of this object alone.
        one = objects.Annotations(*(field[i : i + 1] for field in heap))
        (plate,) = objects.place_titles(one, image.shape[:2])
        written = objects.draw_objects(image, one)[objects.area_of(plate)]
        windows = np.lib.stride_tricks.sliding_window_view(shown, written.shape)
        assert (windows == written).all(axis=(-3, -2, -1)).any(), title


def test_titles_stay_within_the_image_however_small_it_is():
    for size in ((320, 320), (12, 300), (300, 20), (5, 5)):
        image = np.full((*size, 3), 90, np.uint8)
        assert objects.draw_objects(image, squares(image, (-5, -5), (size[1] - 3, size[0] - 3))).shape == image.shape


def test_rows_of_large_instances_are_reduced():
    image = np.full((1600, 2400, 3), 50, np.uint8)
    truth = squares(image, (600, 600), side=900)
    shown = pictures.instance_rows([(image, truth, truth._replace(masks=[], boxes=truth.boxes[:0], titles=[]))])
    assert shown.shape[1] == 4 * 644 + 4
    np.testing.assert_array_equal(shown[23 + 300, 648 + 300], np.rint(0.55 * 50 + 0.45 * truth.colors[0]))
    np.testing.assert_array_equal(shown[23 + 300, 648 + 420], [50, 50, 50])

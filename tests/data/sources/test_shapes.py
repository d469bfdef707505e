import pickle

import chex
import numpy as np
import pytest

from configs.base import get_config
from jaxseg.data.geometry import boxes_of_masks
from jaxseg.data.sources import open_source, shapes


@pytest.fixture(scope="module")
def source():
    return open_source(get_config().data, "train")


@pytest.fixture(scope="module")
def records(source):
    return [source.records[index] for index in range(60)]


def test_records_agree_with_themselves(source, records):
    for record in records:
        objects = record.objects
        count = len(objects.classes)
        chex.assert_shape(record.image, (160, 160, 3))
        chex.assert_shape([objects.boxes, objects.masks], [(count, 4), (count, 160, 160)])
        assert 1 <= count <= shapes.MOST_OBJECTS
        assert set(objects.classes) <= {1, 2, 3}
        assert len(source.class_names) == len(source.palette) == 4
        # Visible masks do not overlap, together they are the foreground, and each carries its own class.
        assert objects.masks.sum(axis=0).max() == 1
        classes = objects.classes.astype(np.uint8)[:, None, None]
        np.testing.assert_array_equal((objects.masks * classes).sum(axis=0), record.label)
        np.testing.assert_array_equal(objects.boxes, boxes_of_masks(objects.masks))
        assert objects.masks.any(axis=(1, 2)).all()


def test_objects_vary(records):
    counts = {len(record.objects.classes) for record in records}
    assert counts == set(range(1, shapes.MOST_OBJECTS + 1))
    classes = np.concatenate([record.objects.classes for record in records])
    assert np.bincount(classes, minlength=4)[1:].min() > 0.2 * len(classes)
    areas = np.concatenate([record.objects.masks.sum(axis=(1, 2)) for record in records])
    assert areas.max() > 2 * np.median(areas)
    assert areas.min() < np.median(areas) / 2


def test_some_objects_hide_others_but_never_most_of_them():
    hidden = 0
    for index in range(200):
        rng = np.random.default_rng([9, index])
        owner, areas = np.zeros((shapes.SIZE, shapes.SIZE), np.uint8), [1]
        for number in range(1, 7):
            shape, mask = shapes._place(rng, owner, areas)
            if shape is None:
                break
            areas.append(int(mask.sum()))
            owner[mask == 1] = number
        shares = np.bincount(owner.ravel(), minlength=len(areas))[1:] / np.array(areas[1:])
        assert shares.min() >= shapes.LEAST_VISIBLE
        hidden += (shares < 1).any()
    assert hidden > 100


def test_an_index_is_always_the_same_picture(source, records):
    again = pickle.loads(pickle.dumps(source.records))
    chex.assert_trees_all_equal(again[7].image, records[7].image)
    chex.assert_trees_all_equal(again[7].objects, records[7].objects)
    assert (records[7].image != records[8].image).any()


def test_the_picture_of_an_index_stays_what_it_was(records):
    """Numbers of version 2: whoever changes the pictures on purpose changes these and shapes.VERSION."""
    assert [int(record.label.sum()) for record in records[:4]] == [6224, 6500, 2663, 3376]
    assert [int(record.image.sum()) for record in records[:4]] == [9830751, 10763291, 10692760, 10877589]


def test_splits_have_nothing_in_common(records):
    data = get_config().data
    val = open_source(data, "val")
    assert len(val.records) == shapes.SPLITS["val"]
    assert (val.records[0].image != records[0].image).any()
    assert val.fingerprint != open_source(data, "train").fingerprint


def test_unknown_names():
    data = get_config().data
    with pytest.raises(ValueError, match=r"no split 'dev'; expected one of train, val, test"):
        open_source(data, "dev")
    data.name = "shape"
    with pytest.raises(ValueError, match=r"config\.data\.name is 'shape'; expected one of .*shapes"):
        open_source(data, "train")


def test_a_sequence_ends(source):
    with pytest.raises(IndexError):
        source.records[len(source.records)]

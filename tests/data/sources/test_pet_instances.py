import numpy as np
import pytest

from jaxseg.data.sources.pet_instances import as_instances
from jaxseg.types import Record

NAMES = ["Bengal_1", "Bengal_2", "pug_1", "american_bulldog_3"]  # of all splits


class Pets(list):
    """Two pets: a block of 10x8 pixels at (x, y) = (3, 2), whose outermost pixels are border; only one has a head."""

    positions = [1, 3]

    def __init__(self):
        label = np.ones((20, 30), np.uint8)
        label[2:10, 3:13] = 2
        label[3:9, 4:12] = 0
        for name, head in (("Bengal_2", np.array([1, 1, 7, 6], np.float32)), ("american_bulldog_3", None)):
            tags = {"breed": name[:-2], "species": "cat" if name[0].isupper() else "dog", "head_box": head}
            self.append(Record(name, np.zeros((20, 30, 3), np.uint8), label, None, tags))

    def size(self, index):
        return self[index].label.shape


@pytest.fixture
def open_pets(data):
    def open_as(instances, heads=False):
        data.update(instances=instances, heads=heads)
        return as_instances(Pets(), NAMES, data)

    return open_as


def test_a_pet_is_an_object_with_its_border(open_pets):
    source = open_pets("species")
    assert source.class_names == ("background", "cat", "dog")
    assert [record.objects.classes.tolist() for record in source.records] == [[1], [2]]
    for record in source.records:
        np.testing.assert_array_equal(record.objects.boxes, [[3, 2, 13, 10]])
        assert record.objects.masks.sum() == 80
        assert not record.objects.crowd.any()
        assert record.label is None
    np.testing.assert_array_equal(source.catalogue.sizes, [[20, 30]] * 2)
    assert source.catalogue.image_ids == (2, 4)


def test_breeds_have_the_same_numbers_in_all_splits(open_pets):
    source = open_pets("breed")
    assert source.class_names == ("background", "Bengal", "american_bulldog", "pug")
    assert [record.objects.classes.tolist() for record in source.records] == [[1], [2]]


def test_a_head_has_its_box_and_the_pets_mask_within(open_pets):
    source = open_pets("species", heads=True)
    assert source.class_names == ("background", "cat", "dog", "head")
    with_head, without = (record.objects for record in source.records)
    np.testing.assert_array_equal(with_head.classes, [1, 3])
    np.testing.assert_array_equal(with_head.boxes, [[3, 2, 13, 10], [1, 1, 7, 6]])
    assert with_head.masks[1].sum() == 4 * 4
    np.testing.assert_array_equal(without.classes, [2])
    assert source.palette.shape == (4, 3)


def test_an_unknown_kind_of_instance(open_pets):
    with pytest.raises(ValueError, match=r"config\.data\.instances is 'color'; oxford_pets knows species and breed"):
        open_pets("color")

import numpy as np
import pytest

from configs.base import get_config
from jaxseg.data.image_sizes import group_by_size, image_sizes, padded_size
from jaxseg.data.selection import select_images
from jaxseg.data.sources import open_source
from jaxseg.types import Record, Source


def test_groups_hold_every_image_once_and_are_few():
    sizes = np.random.default_rng(0).integers(1, 3000, (500, 2))
    groups = group_by_size(sizes, 4)
    assert len(groups) == 4
    np.testing.assert_array_equal(np.sort(np.concatenate(groups)), np.arange(500))
    padded = sum(len(group) * np.prod(padded_size(sizes[group])) for group in groups)
    assert padded < 0.7 * 500 * 3008 * 3008


def test_images_that_lie_and_images_that_stand_are_apart():
    sizes = np.array([[375, 500], [500, 375], [333, 500], [500, 334], [375, 500]])
    first, second = group_by_size(sizes, 2)
    assert (first.tolist(), second.tolist()) == ([0, 2, 4], [1, 3])
    assert padded_size(sizes[first]) == (384, 512)
    assert padded_size(sizes[[0, 4]]) == (375, 500)  # equal images need no padding


def test_a_rare_size_joins_a_common_one_of_which_padding_costs_little():
    sizes = np.array([[64, 64]] * 50 + [[64, 96]] + [[640, 640]] * 2)
    assert [len(group) for group in group_by_size(sizes, 2)] == [51, 2]


def test_no_images_make_no_groups():
    assert group_by_size(np.zeros((0, 2), int)) == []


def test_sizes_are_those_of_the_records_whether_or_not_the_source_knows_them():
    class Records(list):
        """Records that are counted when they are read."""

        read = 0

        def __getitem__(self, index):
            Records.read += 1
            return super().__getitem__(index)

    sizes = [(3, 4), (5, 2)]
    records = Records(Record("a", np.zeros((*size, 3), np.uint8)) for size in sizes)
    source = Source(records, ("a",), np.zeros((1, 3), np.uint8))
    np.testing.assert_array_equal(image_sizes(source), sizes)
    assert Records.read == 2
    told = source._replace(size_of=[(7, 8), (9, 6)].__getitem__)
    np.testing.assert_array_equal(image_sizes(told), [(7, 8), (9, 6)])
    np.testing.assert_array_equal(image_sizes(select_images(told, [1])), [(9, 6)])
    assert Records.read == 2


@pytest.mark.parametrize(
    ("name", "folder"),
    [("camvid", "camvid"), pytest.param("oxford_pets", "oxford_iiit_pet", marks=pytest.mark.slow)],
)
def test_sizes_of_files_are_those_of_their_images(shared_data, tmp_path, name, folder):
    data = get_config().data
    data.update(name=name, source_dir=str(shared_data / folder), dir=str(tmp_path))
    data.select.first = 3
    source = open_source(data, "val" if name == "camvid" else "test")
    np.testing.assert_array_equal(image_sizes(source), [record.image.shape[:2] for record in source.records])

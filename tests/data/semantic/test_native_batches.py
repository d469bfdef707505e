"""Batches of images that keep their aspect ratio, and of label maps in the pixels of their files."""

import chex
import cv2
import numpy as np
import pytest
from PIL import Image

from configs.base import get_config
from jaxseg.data.semantic.batches import eval_batches, train_batches
from jaxseg.data.semantic.sizing import Sizing, read_sizing
from jaxseg.types import IGNORE, Record, Source

SIZES = [(40, 64), (64, 40), (33, 64), (50, 50), (40, 64)]


def photo(index, size):
    """A smooth picture, and a label map of blocks that follows it."""
    rng = np.random.default_rng(index)
    image = cv2.resize(rng.integers(0, 256, (5, 5, 3), np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)
    label = cv2.resize(rng.integers(0, 3, (5, 5), np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
    return Record(str(index), image, label)


@pytest.fixture
def source():
    records = [photo(index, size) for index, size in enumerate(SIZES)]
    return Source(records, ("a", "b", "c"), np.zeros((3, 3), np.uint8), "photos", size_of=SIZES.__getitem__)


@pytest.fixture
def data(tmp_path):
    config = get_config().data
    config.update(workers=0, cache=False, dir=str(tmp_path), image_size=(48, 48), resize="short_side", max_size=70)
    return config


def evaluated(source, data, **others):
    with eval_batches(source, data, **({"batch_size": 2} | others)) as batches:
        return list(batches)


def rows(batches):
    """The valid rows of batches by record: row of each array."""
    return {
        int(batch.index[row]): [None if array is None else array[row] for array in batch]
        for batch in batches
        for row in np.flatnonzero(batch.valid)
    }


@pytest.mark.parametrize(
    ("resize", "expected"),
    [
        ("short_side", [(43, 70), (70, 43), (36, 70), (48, 48)]),  # at most 70 pixels
        ("long_side", [(30, 48), (48, 30), (24, 48), (48, 48)]),
        ("none", [(40, 64), (64, 40), (33, 64), (50, 50)]),
        ("stretch", [(48, 48)] * 4),
    ],
)
def test_sizes_keep_the_aspect(resize, expected):
    sizing = Sizing(resize, (48, 48), 70)
    assert [sizing.target(size) for size in SIZES[:4]] == expected


def test_the_shorter_side_is_torchvisions():
    assert Sizing("short_side", (520, 520), 5000).target((333, 500)) == (520, int(520 * 500 / 333))


def test_evaluation_pads_each_image_once(source, data):
    batches = evaluated(source, data)
    assert len({batch.image.shape for batch in batches}) <= 4
    seen = rows(batches)
    assert sorted(seen) == list(range(5))
    for index, (image, label, _, weight, _, size, original, _) in seen.items():
        record = source.records[index]
        height, width = read_sizing(data).target(record.label.shape)
        assert tuple(size) == (height, width)
        assert weight is original is None
        expected = Image.fromarray(record.image).resize((width, height), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(image[:height, :width], np.array(expected))
        expected = Image.fromarray(record.label).resize((width, height), Image.Resampling.NEAREST)
        np.testing.assert_array_equal(label[:height, :width], np.array(expected))
        assert (label[height:] == IGNORE).all()
        assert (label[:, width:] == IGNORE).all()
        assert not image[height:].any()


@pytest.mark.parametrize("resize", ["stretch", "short_side", "long_side"])
def test_original_label_maps_travel_along(source, data, resize):
    data.update(resize=resize, score_at="original")
    seen = rows(evaluated(source, data))
    assert sorted(seen) == list(range(5))
    for index, row in seen.items():
        (original, (height, width)), label = row[6:], source.records[index].label
        assert label.shape == (height, width)
        np.testing.assert_array_equal(original[:height, :width], label)
        assert (original[height:] == IGNORE).all()
        assert (original[:, width:] == IGNORE).all()
        assert (row[5] is None) == (resize == "stretch")


def test_native_size_needs_no_second_label_map(source, data):
    data.update(resize="none", score_at="original")
    for index, row in rows(evaluated(source, data)).items():
        label = source.records[index].label
        assert row[6] is None
        np.testing.assert_array_equal(row[1][: label.shape[0], : label.shape[1]], label)


def test_processes_share_the_images_of_a_group(source, data):
    whole = evaluated(source, data)
    parts = [evaluated(source, data, process_index=process, process_count=2) for process in (0, 1)]
    assert [len(part) for part in parts] == [len(whole)] * 2
    for batch, *halves in zip(whole, *parts, strict=True):
        for name in ("image", "label", "valid", "index", "sizes"):
            joined = np.concatenate([getattr(half, name) for half in halves])
            np.testing.assert_array_equal(joined, getattr(batch, name))


def trained(source, data, count=3):
    with train_batches(source, data, batch_size=5, seed=0, start_step=0) as stream:
        return [next(stream) for _ in range(count)]


def test_small_images_are_padded_in_training(source, data):
    data.update(resize="none", crop_size=(64, 72))
    (batch,) = trained(source, data, 1)
    chex.assert_shape([batch.image, batch.label], [(5, 64, 72, 3), (5, 64, 72)])
    assert batch.sizes is batch.index is batch.original is None
    seen = {}
    for image, label in zip(batch.image, batch.label, strict=True):
        height, width = (label[:, 0] != IGNORE).sum(), (label[0] != IGNORE).sum()
        assert (image[height:] == 128).all()  # the mean color
        assert (label[height:] == IGNORE).all()
        seen[image[:height, :width].tobytes()] = label[:height, :width].tobytes()
    assert seen == {record.image.tobytes(): record.label.tobytes() for record in source.records}


def test_windows_are_cut_out_of_images_as_they_are(source, data):
    data.update(resize="none", crop_size=(20, 24))
    data.augment.flip = False
    corners = set()
    for batch in trained(source, data):
        for image, label in zip(batch.image, batch.label, strict=True):
            places = [
                (record.name, top, left)
                for record in source.records
                for top in range(record.label.shape[0] - 19)
                for left in range(record.label.shape[1] - 23)
                if (record.image[top, left] == image[0, 0]).all()
                and np.array_equal(record.image[top : top + 20, left : left + 24], image)
                and np.array_equal(record.label[top : top + 20, left : left + 24], label)
            ]
            assert places
            corners.add(places[0])
    assert len(corners) > 10


@pytest.mark.parametrize("scale", [(0.5, 0.5), (2.0, 2.0)])
def test_a_scale_brings_image_and_label_to_it(source, data, scale):
    data.update(resize="none", crop_size=(128, 128))
    data.augment.scale = scale
    (batch,) = trained(source, data, 1)
    found = sorted(((row[:, 0] != IGNORE).sum(), (row[0] != IGNORE).sum()) for row in batch.label)
    assert found == sorted((round(h * scale[0]), round(w * scale[0])) for h, w in SIZES)
    for image, label in zip(batch.image, batch.label, strict=True):
        height, width = (label[:, 0] != IGNORE).sum(), (label[0] != IGNORE).sum()
        errors = []
        for record in source.records:
            resized = Image.fromarray(record.image).resize((int(width), int(height)), Image.Resampling.BILINEAR)
            truth = Image.fromarray(record.label).resize((int(width), int(height)), Image.Resampling.NEAREST)
            errors.append(
                np.abs(np.float32(resized) - image[:height, :width]).mean()
                + 100 * (np.array(truth) != label[:height, :width]).mean()
            )
        assert min(errors) < 8


def test_the_cache_changes_nothing(source, data):
    """Without a cache; with one that is filled; with one that is full."""
    data.augment.update(scale=(0.5, 1.5), flip=True, contrast=0.2)
    data.update(crop_size=(40, 40), score_at="original")
    seen = []
    for data.cache in (False, True, True):
        seen.append((trained(source, data), evaluated(source, data)))
    for other in seen[1:]:
        chex.assert_trees_all_equal(other, seen[0])

    class Unreadable(list):
        def __getitem__(self, index):
            raise AssertionError("the cache is full")

    unreadable = source._replace(records=Unreadable(source.records))
    chex.assert_trees_all_equal((trained(unreadable, data), evaluated(unreadable, data)), seen[0])


def test_faults_are_named(source, data):
    for changes, message in (
        ({"resize": "shrink"}, r"config\.data\.resize is 'shrink'; expected one of stretch"),
        ({"score_at": "there"}, r"config\.data\.score_at is 'there'; expected one of network, original"),
        ({"max_size": 40}, r"config\.data\.max_size is 40; expected at least 48"),
    ):
        changed = data.copy_and_resolve_references()
        changed.update(changes)
        with pytest.raises(ValueError, match=message):
            evaluated(source, changed)
    data.augment.crop_scale = (0.5, 1.0)
    with pytest.raises(ValueError, match=r"crop_scale is \(0\.5, 1\.0\).*Set config\.data\.augment\.scale"):
        trained(source, data)
    data.resize = "stretch"
    data.augment.update(crop_scale=(1.0, 1.0), scale=(0.5, 2.0))
    with pytest.raises(ValueError, match=r"augment\.scale is \(0\.5, 2\.0\); expected \(1\.0, 1\.0\)"):
        trained(source, data)

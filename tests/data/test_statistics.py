"""Numbers of splits, and what is wrong between them, by hand."""

import pickle
import time

import cv2
import numpy as np
import pytest
from PIL import Image

from jaxseg.data.split_checks import compare_splits, near_duplicates
from jaxseg.data.statistics import hash_file, hash_gray, measure_split, spread
from jaxseg.types import Catalogue, Record, Source

PALETTE = np.array([[0, 0, 0], [230, 159, 0], [86, 180, 233]], np.uint8)
NAMES = ("background", "cat", "dog")


def photo(seed, size=(60, 80)):
    """A smooth picture that differs between seeds."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


def source(images, labels, **fields):
    records = [Record(f"r{i}", image, label) for i, (image, label) in enumerate(zip(images, labels, strict=True))]
    return Source(records, NAMES, PALETTE)._replace(**fields)


def half(first, second):
    label = np.full((60, 80), first, np.uint8)
    label[:, 40:] = second
    return label


def test_shares_sizes_and_values():
    images = [np.full((60, 80, 3), 10, np.uint8), np.full((60, 80, 3), 30, np.uint8)]
    found = measure_split(source(images, [half(0, 1), half(1, 255)]))
    np.testing.assert_allclose(found.shares, [1 / 3, 2 / 3, 0])
    np.testing.assert_array_equal(found.sizes, [[60, 80], [60, 80]])
    assert found.values == (10, 20, 30)
    assert found.objects is None
    assert (found.images, found.read) == (2, 2)


def test_a_hundred_thousand_annotations_take_seconds():
    count = 20_000
    entries = [{"category_id": 3, "iscrowd": 0, "bbox": [0, 0, 5, 5]}] * 4 + [{"category_id": 7, "iscrowd": 1}]
    packed = [pickle.dumps(entries)] * count
    catalogue = Catalogue(
        sizes=np.full((count, 2), 50, np.int32),
        counts=np.full(count, 4),
        image_ids=range(count),
        category_ids=(-1, 3, 7),
        annotations=lambda index: pickle.loads(packed[index]),
    )
    image = photo(0)

    class Records:
        """One picture many times."""

        def __len__(self):
            return count

        def __getitem__(self, index):
            return Record("r", image)

    before = time.perf_counter()
    found = measure_split(Source(Records(), NAMES, PALETTE, catalogue=catalogue))
    assert time.perf_counter() - before < 10
    np.testing.assert_array_equal(found.objects, [0, 80_000, 0])
    assert found.crowds == 20_000
    assert found.read == 200


def test_copies_have_nearly_the_same_hash(tmp_path):
    image = photo(1, (300, 400))
    Image.fromarray(image).save(tmp_path / "copy.jpg", quality=60)
    small = cv2.resize(image, (160, 120), interpolation=cv2.INTER_AREA)
    brighter = np.clip(image * 0.9 + 10, 0, 255).astype(np.uint8)
    grays = [cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in (image, small, brighter, photo(2, (300, 400)))]
    own, *others, different = map(hash_gray, grays)
    for other in (*others, hash_file(tmp_path / "copy.jpg")):
        assert (own ^ other).bit_count() <= 3
    assert (own ^ different).bit_count() > 15
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    assert hash_file(tmp_path / "broken.jpg") == 0


def test_an_image_in_two_splits_is_found_and_plain_images_are_no_duplicates():
    plain = np.full((60, 80, 3), 7, np.uint8)
    train = measure_split(source([photo(1), photo(2), plain], [half(0, 1)] * 3))
    val = measure_split(source([photo(3), photo(2), plain], [half(0, 1)] * 3))
    assert near_duplicates(train, val) == [(1, 1)]
    (notice,) = compare_splits({"train": train, "val": val}, {"train": (), "val": ["x.jpg", "y.jpg", "z.jpg"]})
    assert str(notice) == (
        "1 of 3 images of val look like an image of train, so scores of val are too good, the first is y.jpg. "
        "Put images of the same scene into one split. The first looks like image 1 of train"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"class_names": ("background", "cat", "hog")}, "2 class names differ between train and val, the first is dog"),
        ({"palette": PALETTE[[0, 2, 1]]}, "2 of 3 classes have other colors in val than in train, the first is cat"),
    ],
)
def test_classes_and_colors_that_differ_between_splits(changes, words):
    train = measure_split(source([photo(1)], [half(0, 1)]))
    val = measure_split(source([photo(2)], [half(0, 1)], **changes))
    (notice,) = compare_splits({"train": train, "val": val}, {})
    assert str(notice).startswith(words)


def test_classes_and_values_that_one_split_lacks():
    train = measure_split(source([photo(1)], [half(0, 1)]))
    val = measure_split(source([photo(2) // 16], [half(0, 2)]))
    words = [str(one) for one in compare_splits({"train": train, "val": val}, {})]
    assert words[0].startswith(
        "1 of 3 classes occur in train, but not in val in 1 images that were read, the first is cat"
    )
    assert words[1].startswith("1 of 3 classes occur in val, but not in train")
    objects = {"objects": np.array([0, 2, 1]), "shares": None}
    train, val = train._replace(**objects), val._replace(**objects | {"objects": np.array([0, 3, 0])})
    said = str(compare_splits({"train": train, "val": val}, {})[0])
    assert said.startswith("1 of 2 classes occur in train, but not in val, the first is dog")  # background is no object
    assert words[2].startswith("1 of 1 images of val have values from 0 to 15, those of train from 0 to 255")


def test_indices_are_spread():
    assert spread(3, 12).tolist() == [0, 1, 2]
    assert spread(0, 12).tolist() == []
    assert len(spread(1000, 12)) == 12

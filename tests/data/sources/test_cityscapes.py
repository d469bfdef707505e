import numpy as np
import pytest
from tiny_datasets import write_cityscapes

from jaxseg.data.sources import cityscapes, open_source
from jaxseg.types import IGNORE

# By id from 0: the train ids of the authors' table of labels, "unlabeled" to "bicycle".
TRAIN_IDS = [255] * 7 + [0, 1, 255, 255, 2, 3, 4, 255, 255, 255, 5, 255, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
TRAIN_IDS += [255, 255, 16, 17, 18]
IMAGES = [("train", "aachen", 0), ("train", "zurich", 3), ("val", "frankfurt", 1), ("test", "berlin", 2)]


@pytest.fixture
def drawn(data, files):
    data.name = "cityscapes"
    return write_cityscapes(files, IMAGES)


def test_ids_become_train_ids(data, drawn):
    assert len(TRAIN_IDS) == 34
    for record in open_source(data, "trainval").records:
        np.testing.assert_array_equal(record.label, np.array(TRAIN_IDS, np.uint8)[drawn[record.name]])
        assert set(np.unique(record.label)) == {*range(19), IGNORE}


def test_classes_and_colours_are_the_official_ones(data, drawn):
    source = open_source(data, "train")
    colors = dict(zip(source.class_names, source.palette.tolist(), strict=True))
    assert list(colors)[::6] == ["road", "traffic light", "rider", "bicycle"]
    assert colors["road"] == [128, 64, 128]
    assert colors["traffic light"] == [250, 170, 30]
    assert colors["bicycle"] == [119, 11, 32]
    assert len(np.unique(source.palette, axis=0)) == 19


def test_splits(data, drawn):
    counts = {split: len(open_source(data, split).records) for split in cityscapes.SPLITS}
    assert counts == {"train": 2, "val": 1, "trainval": 3}
    with pytest.raises(ValueError, match="cityscapes has no split 'test'; expected one of train, val, trainval"):
        open_source(data, "test")


def test_a_half_unpacked_folder(data, files, drawn):
    missing = files / "gtFine/val/frankfurt/frankfurt_000001_000019_gtFine_labelIds.png"
    missing.unlink()
    with pytest.raises(ValueError, match=r"frankfurt_000001_.*_labelIds\.png is missing.*gtFine_trainvaltest"):
        open_source(data, "val")
    data.source_dir = str(files / "leftImg8bit")
    with pytest.raises(ValueError, match=r"leftImg8bit/train/CITY/\*_leftImg8bit\.png are missing.*www\.cityscapes"):
        open_source(data, "train")

import numpy as np
import pytest
from tiny_datasets import SIZE, draw, save, voc_palette, write_sbd, write_voc

from jaxseg.data.sources import open_source
from jaxseg.types import IGNORE

TRAIN, VAL = ["2007_000032", "2007_000039"], ["2007_000033", "2007_000042"]


@pytest.fixture
def drawn(data, files):
    data.name = "voc"
    return write_voc(files, {"train": TRAIN, "val": VAL, "trainval": sorted(TRAIN + VAL)})


def names(data, split):
    return [record.name for record in open_source(data, split).records]


def test_records_hold_the_indices_of_palette_images(data, drawn):
    source = open_source(data, "trainval")
    assert [record.name for record in source.records] == sorted(drawn)
    for record in source.records:
        np.testing.assert_array_equal(record.label, drawn[record.name][1])
        assert record.image.shape == (SIZE[1], SIZE[0], 3)
    assert {0, 1, 15, 20, IGNORE} == set(np.unique(source.records[0].label))


def test_classes_and_colours_are_the_official_ones(data, drawn):
    source = open_source(data, "train")
    assert len(source.class_names) == 21
    assert source.class_names[::5] == ("background", "bottle", "cow", "person", "tvmonitor")
    np.testing.assert_array_equal(source.palette, voc_palette()[:21])
    assert source.palette[15].tolist() == [192, 128, 128]


@pytest.mark.parametrize("below", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_splits_are_the_lists(data, files, drawn, below):
    data.source_dir = str(files / below)
    assert names(data, "train") == TRAIN
    assert names(data, "val") == VAL
    with pytest.raises(ValueError, match="voc has no split 'test'; expected one of train, trainval, val"):
        open_source(data, "test")


def test_trainaug_adds_sbd_but_nothing_of_the_validation(data, files, drawn):
    sbd = write_sbd(files, {"train": ["2008_000002", TRAIN[0], VAL[0]], "val": ["2008_000007", VAL[1]]})
    source = open_source(data, "trainaug")
    assert [record.name for record in source.records] == [*TRAIN, "2008_000002", "2008_000007"]
    for record in source.records:
        expected = drawn[record.name][1] if record.name in drawn else sbd[record.name]
        np.testing.assert_array_equal(record.label, expected)


def test_trainaug_of_a_prepared_folder(data, files, drawn):
    voc = files / "VOCdevkit/VOC2012"
    label = save(voc / "SegmentationClassAug/2007_000032.png", draw(5, [0, 3])[1])
    lines = "/JPEGImages/2007_000032.jpg /SegmentationClassAug/2007_000032.png\n"  # as some write the list
    (voc / "ImageSets/Segmentation/trainaug.txt").write_text(lines)
    (record,) = open_source(data, "trainaug").records
    np.testing.assert_array_equal(record.label, label)


def test_what_is_missing_is_named_with_where_to_get_it(data, files, drawn):
    with pytest.raises(ValueError, match=r"benchmark_RELEASE/dataset is missing.*SBD.*SegmentationClassAug"):
        open_source(data, "trainaug")
    (files / f"VOCdevkit/VOC2012/SegmentationClass/{VAL[0]}.png").unlink()
    with pytest.raises(ValueError, match=rf"SegmentationClass/{VAL[0]}\.png is missing, the first of 1.*robots\.ox"):
        open_source(data, "val")
    data.source_dir = str(files / "VOCdevkit/VOC2012/JPEGImages")
    with pytest.raises(ValueError, match=r"VOCdevkit/VOC2012/ImageSets/Segmentation is missing.*VOCtrainval"):
        open_source(data, "train")


def test_wrong_files_are_named(data, files, drawn):
    label = files / f"VOCdevkit/VOC2012/SegmentationClass/{TRAIN[0]}.png"
    for array, message in (
        (np.full(SIZE[::-1], 21, np.uint8), "has the value 21; expected only 0, 1, .*20, 255"),
        (np.zeros((5, 4), np.uint8), r"is 4x5, its image .*\.jpg 40x32; expected the same size"),
        (np.full((*SIZE[::-1], 3), (1, 2, 3), np.uint8), "has colors; expected one number per pixel"),
    ):
        save(label, array)
        with pytest.raises(ValueError, match=rf"{TRAIN[0]}\.png {message}"):
            open_source(data, "train").records[0]
    write_sbd(files, {"train": ["2008_000002"], "val": ["2008_000007"]})
    (files / "benchmark_RELEASE/dataset/cls/2008_000002.mat").write_bytes(b"MATLAB 5.0 MAT-file" * 20)
    with pytest.raises(ValueError, match=r"2008_000002\.mat has no GTcls\.Segmentation"):
        open_source(data, "trainaug").records[2]

import numpy as np
import pytest
from tiny_datasets import write_isbi

from jaxseg.data.sources import open_source


def test_slices_are_divided_in_their_order(data, files):
    data.name = "isbi"
    labels = write_isbi(files)
    train, val = (open_source(data, split) for split in ("train", "val"))
    assert train.class_names == ("membrane", "cell")
    assert [record.name for record in train.records] == [str(number) for number in range(25)]
    assert [record.name for record in val.records] == ["25", "26", "27", "28", "29"]
    for number in (2, 10, 29):
        record = open_source(data, "all").records[number]
        np.testing.assert_array_equal(record.label, labels[number] == 255)
        assert (record.image[..., 0] == record.image[..., 2]).all()


def test_what_is_missing_is_named(data, files):
    data.name = "isbi"
    write_isbi(files, 3)
    (files / "image/left.png").write_bytes((files / "image/0.png").read_bytes())
    with pytest.raises(ValueError, match=r"label/left\.\* is missing, for .*image/left\.png.*ISBI 2012"):
        open_source(data, "train")
    (files / "label/left.png").write_bytes((files / "label/0.png").read_bytes())
    with pytest.raises(ValueError, match=r"image/left\.png is not named by the number of its slice"):
        open_source(data, "train")


def test_real_slices(data, shared_data):
    data.name, data.source_dir = "isbi", str(shared_data / "isbi2012")
    train, val = (open_source(data, split).records for split in ("train", "val"))
    assert (len(train), len(val)) == (25, 5)
    for record in (train[0], val[4]):
        assert record.image.shape == (512, 512, 3)
        # Membranes are dark and take up less than a third.
        assert record.image[record.label == 0].mean() < record.image[record.label == 1].mean() - 30
        assert 0.1 < (record.label == 0).mean() < 0.33

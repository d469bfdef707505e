"""Classes of all splits are those of the training split, matched by name."""

import json

import numpy as np
import object_folders
import pytest

from jaxseg.config import detector
from jaxseg.data.class_order import match_classes
from jaxseg.data.coco.format import ground_truth
from jaxseg.data.sources import open_source
from jaxseg.types import Record, Source


def labeled(label, names):
    records = [Record("a", np.zeros((1, len(label), 3), np.uint8), np.array([label], np.uint8))]
    return Source(records, names, np.arange(3 * len(names), dtype=np.uint8).reshape(-1, 3), "mark")


def test_label_maps_are_renumbered():
    source = match_classes(labeled([0, 1, 2, 255], ("ground", "cat", "dog")), ("dog", "ground", "bird", "cat"), "val")
    np.testing.assert_array_equal(source.records[0].label, [[1, 3, 0, 255]])
    assert source.class_names == ("dog", "ground", "bird", "cat")
    np.testing.assert_array_equal(source.palette, [[6, 7, 8], [0, 1, 2], [0, 0, 0], [3, 4, 5]])
    assert source.fingerprint == "mark [1, 3, 0]"


def test_equal_classes_change_nothing():
    source = labeled([0, 1], ("ground", "cat"))
    assert match_classes(source, ("ground", "cat"), "val") is source


def test_a_class_that_is_not_trained_is_one_error():
    with pytest.raises(
        ValueError, match=r"^the classes of the split 'val' are 'cow' in addition .* some of 'a', 'b'\. Re"
    ):
        match_classes(labeled([0], ("a", "cow")), ("a", "b"), "val")


def test_a_validation_file_with_other_ids_is_scored_right(tmp_path):
    """The file of the validation split lacks a class and has other numbers than that of the training split."""
    drawn = object_folders.write("coco (Roboflow)", tmp_path)
    path = tmp_path / "valid/_annotations.coco.json"
    content = json.loads(path.read_text())
    content["categories"] = [{"id": 40, "name": "square"}]
    content["annotations"] = [
        entry | {"category_id": 40} for entry in content["annotations"] if entry["category_id"] == 2
    ]
    path.write_text(json.dumps(content))
    data = detector().data
    data.update(name="coco", source_dir=str(tmp_path))
    train = open_source(data, "train")
    source = open_source(data, "val", train.class_names)
    assert source.class_names == ("background", "disc", "square")
    assert source.catalogue.category_ids[2] == 40
    assert len(set(source.catalogue.category_ids)) == 3
    assert {number for record in source.records for number in record.objects.classes.tolist()} == {2}
    truth = ground_truth(source)
    assert {entry["category_id"] for entry in truth["annotations"]} == {40}
    assert {entry["name"]: entry["id"] for entry in truth["categories"]}["square"] == 40
    assert len(drawn) == 12

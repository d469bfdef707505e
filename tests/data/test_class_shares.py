"""Shares of classes of data sets that do not count them themselves."""

import numpy as np
import pytest
from drawn_objects import drawn_source

from jaxseg.data.class_shares import count_classes
from jaxseg.data.report import Findings, describe_split
from jaxseg.types import Record, Source

NAMES = ("background", "a", "b")


def source_of(*labels):
    """A source of images that have one row of these values each."""
    records = [
        Record(str(i), np.zeros((1, len(row), 3), np.uint8), np.array([row], np.uint8)) for i, row in enumerate(labels)
    ]
    return Source(records, NAMES, np.zeros((3, 3), np.uint8))


def test_pixels_of_each_class_are_counted_without_those_to_ignore():
    found = count_classes(source_of([0, 0, 0, 1], [2, 255, 255, 255]), "semantic")
    assert found.shares == (0.6, 0.2, 0.2)
    assert describe_split("train", found) == ["train: 2 images; pixels: background 60.0%, a 20.0%, b 20.0%"]


def test_of_many_images_some_are_counted_evenly_spread():
    found = count_classes(source_of(*[[0, 1]] * 5, *[[2, 2]] * 4), "semantic", most=3)  # numbers 0, 4 and 8
    assert found.counted == 3
    assert found.shares == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert describe_split("val", found)[0].startswith("val: 9 images; pixels of 3 masks: background 33.3%")


def test_objects_of_each_class_are_counted_for_detectors():
    source = drawn_source([(48, 64), (48, 64)], [2, 3])  # the last of each is a crowd region
    expected = np.zeros(3, int)
    for record in source.records:
        np.add.at(expected, record.objects.classes[~record.objects.crowd], 1)
    found = count_classes(source, "instances")
    assert found.objects == tuple(expected)
    assert expected.sum() == 3
    assert describe_split("val", count_classes(source, "instances", most=1))[0].startswith(
        "val: 2 images of 64x48 pixels; 1 objects in 1 images: "
    )


def test_what_a_source_has_counted_is_not_counted_again():
    known = Findings(7, class_names=NAMES, shares=(1.0, 0.0, 0.0))
    assert count_classes(source_of([2])._replace(records=None, findings=known), "semantic") is known


def test_label_maps_that_are_all_to_be_ignored_have_no_shares():
    assert count_classes(source_of([255]), "semantic").shares == ()

"""Images are chosen by the objects in them, and the catalogue follows."""

import numpy as np
import pytest

from configs import base
from jaxseg.data.coco.format import ground_truth
from jaxseg.data.sources import open_source


def opened(name="shapes", split="val", source_dir="", **fields):
    config = base.get_config().data
    config.update(name=name, source_dir=str(source_dir))
    config.select.update(fields)
    return open_source(config, split)


def test_only_what_was_asked_for_is_there():
    everything, few = opened(), opened(first=5, most_objects=2, least_share=0.03)
    assert len(few.records) == len(few.catalogue.sizes) == len(few.catalogue.counts) == 5
    for record, number in zip(few.records, few.catalogue.image_ids, strict=True):
        np.testing.assert_array_equal(record.image, everything.records[number].image)
        areas = record.objects.masks.sum(axis=(1, 2))
        assert 1 <= len(areas) <= 2
        assert areas.min() >= 0.03 * 160 * 160
    before = [index for index in range(few.catalogue.image_ids[-1]) if index not in few.catalogue.image_ids]
    assert all(too_many_or_too_small(everything.records[index]) for index in before)
    truth = ground_truth(few)
    assert {one["image_id"] for one in truth["annotations"]} == set(few.catalogue.image_ids)
    assert few.fingerprint != everything.fingerprint


def too_many_or_too_small(record):
    areas = record.objects.masks.sum(axis=(1, 2))
    return len(areas) > 2 or areas.min() < 0.03 * 160 * 160


def test_the_first_images_of_any_data_set():
    assert len(opened(first=3).records) == 3


def test_ten_easy_photographs_of_coco(shared_data):
    source = opened(
        "coco", "train", shared_data / "coco_tiny", first=10, most_objects=5, least_share=0.03, crowds=False
    )
    assert len(source.records) == 10
    for one in ground_truth(source)["annotations"]:
        assert not one["iscrowd"]
    for index in range(10):
        annotations = source.catalogue.annotations(index)
        assert 1 <= len(annotations) <= 5
        assert {one["image_id"] for one in annotations} == {source.catalogue.image_ids[index]}


def test_asking_for_too_much_is_refused():
    with pytest.raises(ValueError, match="no image of shapes meets.*least_share"):
        opened(least_share=0.9)

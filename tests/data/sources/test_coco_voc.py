"""COCO's images with VOC's classes, by the rules of torchvision's reference."""

import numpy as np
import pytest
from tiny_datasets import write_coco

from configs.base import get_config
from jaxseg.data.image_sizes import image_sizes
from jaxseg.data.sources import open_source
from jaxseg.data.sources.coco_voc import CATEGORIES, label_map
from jaxseg.types import IGNORE

PERSON, CAT, TRAFFIC_LIGHT = 1, 17, 10


def rectangle(category, left, top, right, bottom, **fields):
    segmentation = [[left, top, right, top, right, bottom, left, bottom]]
    return {"category_id": category, "segmentation": segmentation, **fields}


def test_other_categories_are_background_and_overlaps_are_ignored():
    annotations = [rectangle(PERSON, 0, 0, 4, 2), rectangle(CAT, 2, 0, 6, 2), rectangle(TRAFFIC_LIGHT, 0, 3, 8, 5)]
    expected = np.zeros((5, 8), np.uint8)
    expected[:2] = [15, 15, IGNORE, IGNORE, 8, 8, 0, 0]
    np.testing.assert_array_equal(label_map(annotations, (5, 8)), expected)


def test_crowds_count_as_objects():
    crowd = {"category_id": PERSON, "segmentation": {"size": [2, 3], "counts": [2, 2, 2]}, "iscrowd": 1}
    np.testing.assert_array_equal(label_map([crowd], (2, 3)), [[0, 15, 0], [0, 15, 0]])


def test_categories_have_the_names_of_the_classes(tmp_path):
    write_coco(tmp_path, [(40, 64)])
    data = get_config().data
    data.update(name="coco_voc", source_dir=str(tmp_path))
    source = open_source(data, "val")
    from jaxseg.data.coco.classes import CLASS_NAMES

    renamed = {"airplane": "aeroplane", "motorcycle": "motorbike", "dining table": "diningtable"}
    renamed |= {"potted plant": "pottedplant", "couch": "sofa", "tv": "tvmonitor"}
    names = [CLASS_NAMES[number] for number in CATEGORIES]
    expected = [renamed.get(name, name).replace(" ", "") for name in names]
    assert [name.replace(" ", "") for name in source.class_names] == expected
    np.testing.assert_array_equal(image_sizes(source), [(40, 64)])
    assert source.records[0].label.shape == (40, 64)
    assert {0, 15, IGNORE} <= set(np.unique(source.records[0].label)) <= {0, 8, 9, 15, IGNORE}


def test_training_leaves_out_images_with_few_pixels_of_these_classes(tmp_path):
    write_coco(tmp_path, [(16, 16), (64, 64)])
    data = get_config().data
    data.update(name="coco_voc", source_dir=str(tmp_path))
    assert [len(open_source(data, split).records) for split in ("train", "val")] == [1, 2]


def test_other_categories_are_refused(tmp_path):
    write_coco(tmp_path, [(16, 16)])
    file = tmp_path / "annotations/instances_val2017.json"
    file.write_text(file.read_text().replace('"person"', '"human"'))
    data = get_config().data
    data.update(name="coco_voc", source_dir=str(tmp_path))
    with pytest.raises(ValueError, match="other categories than COCO"):
        open_source(data, "val")

"""What a run says about its data."""

import json

import pytest

from jaxseg import config as defaults
from jaxseg.data.report import Findings, Notices, describe_split, findings_of, size_span, to_json
from jaxseg.data.sources import open_source


def test_notices_count_and_keep_the_first(tmp_path):
    notices = Notices()
    for name in ("b.jpg", "a.jpg"):
        notices.add("have no mask", "images", name, of=9, remedy="data.unlabeled=background takes them")
    notices.add("have no area", "annotations", 17, count=3)
    notices.add("never happen", "annotations", 18, count=0)
    notices.add("are read as COCO", "images", "files", is_problem=False)
    assert [str(notice) for notice in notices.all()] == [
        "2 of 9 images have no mask, the first is b.jpg. data.unlabeled=background takes them",
        "3 annotations have no area, the first is 17",
        "1 images are read as COCO, the first is files",
    ]
    copies = Notices()
    copies.extend(notices)
    assert copies.all() == notices.all()
    assert [notice.is_problem for notice in notices.all()] == [True, True, False]


def test_a_split_of_label_maps_is_one_line():
    findings = Findings(images=3, sizes=[(9, 9), (10, 20), (5, 7)], class_names=("a", "b"), shares=(0.75, 0.25))
    assert describe_split("train", findings) == ["train: 3 images of 7x5 to 20x10 pixels; pixels: a 75.0%, b 25.0%"]
    assert size_span(findings) == ((5, 7), (10, 20))
    assert describe_split("val", findings._replace(sizes=[(4, 4)], counted=2))[0].endswith(
        "4x4 pixels; pixels of 2 masks: a 75.0%, b 25.0%"
    )


def test_a_split_of_objects_is_one_line_and_its_notices_follow():
    notices = Notices()
    notices.add("are cut off", "boxes", "a.jpg")
    notices.add("are read as COCO", "images", "files", count=2, is_problem=False)
    findings = Findings(2, None, ("background", "cat"), objects=(0, 5), crowds=1, empty=1, notices=notices.all())
    assert describe_split("val", findings) == [
        "val: 2 images; 5 objects: cat 5; 1 crowd regions; 1 without an object",
        "  val: 1 boxes are cut off, the first is a.jpg",
        "  val: note: 2 images are read as COCO, the first is files",
    ]


def test_many_classes_are_shortened():
    names = tuple(f"c{number}" for number in range(21))
    line = describe_split("train", Findings(1, None, names, objects=(0,) + (1,) * 20))[0]
    assert line.endswith("c11 1, c12 1, and 8 more classes")


@pytest.mark.parametrize("findings", [Findings(0), Findings(1, [(2, 3)], ("a",), (1.0,))])
def test_findings_are_json(findings):
    assert json.loads(json.dumps(to_json(findings)))["images"] == findings.images


def test_a_source_without_findings_says_what_it_knows():
    source = open_source(defaults.semantic().data, "val")
    assert describe_split("val", findings_of(source)) == ["val: 200 images of 160x160 pixels"]
    config = defaults.semantic().data
    config.select.first = 3
    assert findings_of(open_source(config, "val")).images == 3

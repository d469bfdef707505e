"""Which files a writer makes of results, and what they hold."""

import json

import numpy as np
import pytest
from PIL import Image
from test_formats import NAMES, PALETTE, filled

from jaxseg.inference import InstanceResult, SemanticResult
from jaxseg.inference.result_writer import Outputs, Writer, check_outputs


@pytest.fixture
def result():
    """A cat with a hole, and a square dog."""
    mask = np.zeros((70, 90), np.uint8)
    mask[20:40, 30:60] = 1
    mask[25:35, 40:50] = 0
    mask[50:60, 5:15] = 2
    probabilities = np.zeros((70, 90, 3), np.uint16)
    probabilities[..., 1] = 40000
    image = np.zeros((70, 90, 3), np.uint8)
    return SemanticResult(image, mask, NAMES, PALETTE, (0, 17, 18), "pets/a.jpg", mask, probabilities)


@pytest.mark.filterwarnings("ignore")
def test_coco_annotations_of_all_images_are_one_file(result, tmp_path):
    writer = Writer(tmp_path, Outputs(format="coco", overlay=False), NAMES, (0, 17, 18))
    writer.write(result, "a", 7)
    boxes, masks = np.array([[10, 10, 40, 40], [0, 0, 9, 9]], np.float32), np.ones((2, 28, 28), np.float32)
    found = np.array([0.9, 0.3], np.float32), np.array([2, 1], np.int32)
    writer.write(InstanceResult(result.image, boxes, *found, masks, NAMES, (0, 17, 18), "b.jpg"), "b", 8)
    writer.close()
    written = json.loads((tmp_path / "annotations.json").read_text())
    assert written["categories"] == [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}]
    assert [image["id"] for image in written["images"]] == [7, 8]
    annotations = written["annotations"]
    assert [(one["image_id"], one["category_id"]) for one in annotations] == [(7, 17), (7, 18), (8, 18)]
    assert len({one["id"] for one in annotations}) == 3
    assert annotations[1]["bbox"] == [5, 50, 10, 10]
    assert annotations[2]["score"] == pytest.approx(0.9)  # The second object scores too little to be drawn.
    pixels = filled(annotations[0]["segmentation"], (70, 90))
    assert (pixels & (result.mask == 1)).sum() / (pixels | (result.mask == 1)).sum() > 0.95


def test_probabilities_are_pictures_or_one_array(result, tmp_path):
    writer = Writer(tmp_path, Outputs(confidence=True, probabilities="png"), NAMES, (0, 17, 18))
    paths = writer.write(result, "a", 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths.values())
    with Image.open(tmp_path / "a_probability_1_cat.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), 40000)
    with Image.open(tmp_path / "a_confidence.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), result.confidence)
    Writer(tmp_path, Outputs(probabilities="npy"), NAMES, (0, 17, 18)).write(result, "a", 1)
    np.testing.assert_allclose(np.load(tmp_path / "a_probabilities.npy")[..., 1], 40000 / 65535, rtol=1e-3)


def test_unknown_formats_are_refused():
    with pytest.raises(ValueError, match="format is 'vott'; expected one of coco, yolo, labelme"):
        check_outputs(Outputs(format="vott"))
    with pytest.raises(ValueError, match="probabilities is 'jpg'; expected one of png, npy"):
        check_outputs(Outputs(probabilities="jpg"))


def test_yolo_folders_name_their_classes(result, tmp_path):
    Writer(tmp_path, Outputs(format="yolo"), NAMES, (0, 17, 18)).write(result, "a", 1)
    assert (tmp_path / "data.yaml").read_text() == 'path: .\nnames:\n  0: "cat"\n  1: "dog"\n'
    assert len((tmp_path / "labels/a.txt").read_text().splitlines()) == 2

"""Results in the formats of annotation tools, compared with the masks that they were made of."""

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from jaxseg.inference import SemanticResult
from jaxseg.inference.contours import join_rings, polygons_of
from jaxseg.inference.formats import to_geojson, to_labelme, to_yolo

NAMES = ("background", "cat", "dog")
PALETTE = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)


def filled(rings, shape):
    """The pixels in any of some rings."""
    codes = coco_mask.frPyObjects([np.ravel(ring).tolist() for ring in rings], *shape)
    return np.asarray(coco_mask.decode(codes)).any(axis=-1)


@pytest.fixture
def blobs():
    """A mask with several parts, holes and parts in holes."""
    noise = np.random.default_rng(3).random((7, 9)).astype(np.float32)
    mask = cv2.resize(noise, (90, 70), interpolation=cv2.INTER_CUBIC) > 0.5
    mask[20:40, 30:60] = True
    mask[25:35, 40:50] = False
    mask[29:31, 44:46] = True
    return mask


@pytest.fixture
def result(blobs):
    mask = blobs.astype(np.uint8)
    mask[50:60, 5:15] = 2
    return SemanticResult(np.zeros((70, 90, 3), np.uint8), mask, NAMES, PALETTE, (0, 17, 18), "pets/a.jpg")


@pytest.mark.filterwarnings("ignore")  # pycocotools' decoder warns under numpy 2.
def test_polygons_are_the_edges_of_pixels(blobs):
    for mask in (blobs, np.random.default_rng(0).random((20, 20)) > 0.5, np.ones((1, 1), bool), np.eye(4, dtype=bool)):
        rings = [join_rings(part) for part in polygons_of(mask, tolerance=0)]
        np.testing.assert_array_equal(filled(rings, mask.shape), mask)
    simple = filled([join_rings(part) for part in polygons_of(blobs)], blobs.shape)
    assert (simple & blobs).sum() / (simple | blobs).sum() > 0.95
    assert polygons_of(np.zeros((3, 3), bool)) == []


@pytest.mark.filterwarnings("ignore")
def test_all_parts_and_holes_of_noise_join_to_one_ring():
    """The mask has some 8000 rings; all pairs of their points would not fit into memory."""
    mask = np.random.default_rng(1).random((300, 400)) > 0.5
    parts = polygons_of(mask, tolerance=0)
    rings = [ring for part in parts for ring in (part.outline, *part.holes)]
    assert len(rings) > 5000
    ring = join_rings(*parts)
    # Every ring but the first adds its first point again, and the point that it hangs on.
    assert len(ring) == sum(map(len, rings)) + 2 * (len(rings) - 1)
    np.testing.assert_array_equal(filled([ring], mask.shape), mask)


@pytest.mark.filterwarnings("ignore")
def test_yolo_lines_are_shares_of_the_image(result):
    lines = to_yolo(result, [1, 2], tolerance=0).splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1"]  # The background is no object.
    for line, number in zip(lines, (1, 2), strict=True):
        ring = np.array(line.split()[1:], float).reshape(-1, 2)
        assert (ring.min(), ring.max()) >= (0, 0)
        assert ring.max() <= 1
        np.testing.assert_array_equal(filled([np.rint(ring * [90, 70])], (70, 90)), result.mask == number)


def test_geojson_has_holes_and_closed_rings(result):
    features = to_geojson(result)["features"]
    assert [feature["properties"] for feature in features] == [{"class": "cat"}, {"class": "dog"}]
    polygons = features[0]["geometry"]["coordinates"]
    assert max(map(len, polygons)) > 1
    assert all(ring[0] == ring[-1] for polygon in polygons for ring in polygon)
    assert sorted(features[1]["geometry"]["coordinates"][0][0][:-1]) == [[5, 50], [5, 60], [15, 50], [15, 60]]


def test_labelme_names_the_image_from_its_own_folder(result, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = to_labelme(result, tmp_path / "out")
    assert written["imagePath"] == "../pets/a.jpg"
    assert (written["imageHeight"], written["imageWidth"], written["imageData"]) == (70, 90, None)
    groups = {shape["group_id"] for shape in written["shapes"] if shape["label"] == "cat"}
    assert groups == {1}
    assert [shape["group_id"] for shape in written["shapes"] if shape["label"] == "dog"] == [None]

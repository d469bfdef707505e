"""The same images and objects in every format give the same records."""

import json

import numpy as np
import object_folders
import pytest
from PIL import Image

from jaxseg.config import detector, semantic
from jaxseg.data.geometry import boxes_of_masks
from jaxseg.data.instances.label_maps import to_label_map
from jaxseg.data.sources import open_source
from jaxseg.types import Objects


def config_of(folder, config=detector, **fields):
    data = config().data
    data.update(name="auto", source_dir=str(folder), dir=str(folder.parent / "prepared"), **fields)
    return data


def expected_objects(objects, size=object_folders.SIZE):
    """The objects of an image as they were drawn, in the order of their boxes."""
    masks = np.stack([object_folders.mask_of(polygon, size) for _, polygon in objects])
    classes = np.array([kind for kind, _ in objects], np.int32)
    return Objects(boxes_of_masks(masks), classes, masks, np.zeros(len(masks), bool))


def in_order(objects):
    return Objects(*(field[np.argsort(objects.boxes[:, 0], kind="stable")] for field in objects))


@pytest.mark.parametrize("kind", object_folders.WRITERS)
def test_the_same_objects_give_the_same_records(tmp_path, kind):
    drawn = object_folders.write(kind, tmp_path / "files")
    sources = [open_source(config_of(tmp_path / "files"), split) for split in ("train", "val")]
    images = {record.name: record for source in sources for record in source.records}
    assert [len(source.records) for source in sources] in ([9, 3], [10, 2])  # as divided, or a fifth drawn
    assert set(images) == {name for name, _, _ in drawn}
    for source in sources:
        assert source.class_names == object_folders.CLASS_NAMES
        assert kind.split()[0] in str(source.findings.notices[0])
        assert sum(source.catalogue.counts) == sum(len(record.objects.classes) for record in source.records)
        np.testing.assert_array_equal(source.catalogue.sizes, [object_folders.SIZE] * len(source.records))
    for name, image, objects in drawn:
        record, expected = images[name], expected_objects(objects)
        found = in_order(record.objects)
        np.testing.assert_array_equal(found.classes, expected.classes)
        assert not found.crowd.any()
        assert np.abs(found.boxes - expected.boxes).max() <= 1
        # Polygons that are rounded differ by pixels of their outlines.
        assert np.count_nonzero(found.masks != expected.masks, axis=(1, 2)).max() <= 4
        assert np.abs(record.image.astype(int) - image).mean() < 8  # JPEG


@pytest.mark.parametrize("kind", object_folders.WRITERS)
def test_objects_become_label_maps(tmp_path, kind):
    drawn = object_folders.write(kind, tmp_path / "files", 4)
    data = config_of(tmp_path / "files", semantic, as_semantic=True)
    records = {record.name: record for record in open_source(data, "all").records}
    for name, _, objects in drawn:
        expected = to_label_map(expected_objects(objects), object_folders.SIZE)
        assert np.count_nonzero(records[name].label != expected) <= 8
        assert records[name].objects is None


PETS = 8
MASKS = {"instance masks": object_folders.write_instance_masks, "class masks": object_folders.write_class_masks}


@pytest.mark.parametrize("kind", [*object_folders.WRITERS, "instance masks"])
def test_the_same_pets_give_the_same_objects(shared_data, tmp_path, kind):
    """Real photographs in all four orientations of EXIF; annotations are drawn on the upright view."""
    drawn = object_folders.pets(shared_data, PETS)
    (object_folders.WRITERS | MASKS)[kind](tmp_path / "files", drawn)
    config = config_of(tmp_path / "files", masks="instances" if kind in MASKS else "auto")
    records = {record.name: record for split in ("train", "val") for record in open_source(config, split).records}
    assert set(records) == {name for name, _, _ in drawn}
    for name, image, objects in drawn:
        found, expected = records[name].objects, expected_objects(objects, image.shape[:2])
        assert found.masks.shape == expected.masks.shape
        assert found.classes.tolist() == [1]
        assert np.abs(found.boxes - expected.boxes).max() <= 1
        # Polygons that are rounded differ by pixels of their outlines.
        assert np.count_nonzero(found.masks != expected.masks) <= 0.01 * expected.masks.sum()
        assert np.abs(records[name].image.astype(int) - image).mean() < 8  # JPEG


@pytest.mark.parametrize("kind", [*object_folders.WRITERS, "class masks"])
def test_the_same_pets_give_the_same_label_maps(shared_data, tmp_path, kind):
    drawn = object_folders.pets(shared_data, PETS)
    (object_folders.WRITERS | MASKS)[kind](tmp_path / "files", drawn)
    source = open_source(config_of(tmp_path / "files", semantic, as_semantic=True), "all")
    # LabelMe lists no class without an object.
    assert source.class_names == object_folders.CLASS_NAMES[: 2 if kind == "labelme" else 3]
    records = {record.name: record for record in source.records}
    for name, image, objects in drawn:
        expected = to_label_map(expected_objects(objects, image.shape[:2]), image.shape[:2])
        assert np.count_nonzero(records[name].label != expected) <= 0.01 * np.count_nonzero(expected)
        assert records[name].objects is None


def test_instance_masks_give_the_objects_that_were_drawn(tmp_path):
    drawn = object_folders.draw_images(6)
    object_folders.write_instance_masks(tmp_path / "files", drawn)
    source = open_source(config_of(tmp_path / "files"), "all")
    assert source.class_names == ("background", "object")
    for record, (_, _, objects) in zip(source.records, sorted(drawn), strict=True):
        expected = expected_objects(objects)
        np.testing.assert_array_equal(in_order(record.objects).masks, expected.masks)
        np.testing.assert_array_equal(in_order(record.objects).boxes, expected.boxes)
        assert set(record.objects.classes) == {1}


@pytest.mark.parametrize("kind", ["yolo", "labelme", "cvat"])
def test_polygons_of_a_format_without_boxes_are_no_problem(tmp_path, kind):
    object_folders.write(kind, tmp_path / "files", 4)
    assert not [
        notice for notice in open_source(config_of(tmp_path / "files"), "all").findings.notices if notice.is_problem
    ]


def test_images_without_labels_have_no_objects(tmp_path):
    drawn = object_folders.write("yolo", tmp_path / "files")
    (tmp_path / f"files/labels/train/{drawn[1][0]}.txt").unlink()
    (tmp_path / f"files/labels/train/{drawn[2][0]}.txt").write_text("")
    (tmp_path / f"files/labels/train/{drawn[3][0]}.txt").write_text(
        "1 0.5 0.5 0.25 0.5\n1 0.1 0.1 0.2\nx y\n5 0 0 1 0 1 1\n"
    )
    source = open_source(config_of(tmp_path / "files"), "train")
    records = {record.name: record for record in source.records}
    assert [len(records[drawn[i][0]].objects.classes) for i in (1, 2, 3)] == [0, 0, 1]
    np.testing.assert_array_equal(records[drawn[3][0]].objects.boxes, [[24, 12, 40, 36]])  # of 64x48 pixels
    assert not records[drawn[3][0]].objects.masks.any()
    said = " ".join(map(str, source.findings.notices))
    assert "1 images have no label file and count as images without objects" in said
    assert "1 annotations have a box but no segmentation" in said
    assert "1 annotations are left out: no polygon of them has three points" in said
    assert "2 annotations are left out: their category_id is that of no category" in said


def test_shapes_of_labelme(tmp_path):
    """A circle, a mask, two polygons of one object, and shapes without an area."""
    drawn = object_folders.write("labelme", tmp_path / "files", 4)
    name, _, objects = drawn[0]
    path = tmp_path / f"files/{name}.json"
    content = json.loads(path.read_text())
    halves = [[[40, 2], [44, 2], [44, 8], [40, 8]], [[50, 2], [54, 2], [54, 8], [50, 8]]]
    content["shapes"] = [
        {"label": "disc", "shape_type": "circle", "points": [[20, 20], [30, 20]]},
        {"label": "square", **object_folders.labelme_mask(objects[0][1])},
        *({"label": "square", "shape_type": "polygon", "points": half, "group_id": 1} for half in halves),
        {"label": "disc", "shape_type": "line", "points": [[1, 1], [9, 9]]},
        {"label": "__ignore__", "shape_type": "polygon", "points": halves[0]},
    ]
    path.write_text(json.dumps(content))
    source = open_source(config_of(tmp_path / "files"), "all")
    found = next(record.objects for record in source.records if record.name == name)
    np.testing.assert_array_equal(found.classes, [1, 2, 2])
    np.testing.assert_allclose(found.boxes[0], [10, 10, 30, 30], atol=0.1)
    assert abs(found.masks[0].sum() - np.pi * 100) < 10
    np.testing.assert_array_equal(found.masks[1], object_folders.mask_of(objects[0][1]))
    assert found.masks[2].sum() == 2 * 4 * 6
    assert any("1 shapes are left out: they are of the kind line" in str(one) for one in source.findings.notices)


def cut(path):
    """Keeps the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("kind", object_folders.WRITERS)
def test_a_damaged_image_is_named_or_skipped(tmp_path, kind):
    """One of four photographs is cut in half, so its header can be read, but not its pixels."""
    drawn = object_folders.write(kind, tmp_path / "files", 4)
    bad = next((tmp_path / "files").rglob(f"{drawn[2][0]}.jpg"))
    cut(bad)
    with pytest.raises(ValueError, match=rf"{bad} cannot be read as an image.*config\.data\.bad_files=skip"):
        open_source(config_of(tmp_path / "files"), "all")
    source = open_source(config_of(tmp_path / "files", bad_files="skip"), "all")
    assert {record.name for record in source.records} == {name for name, _, _ in drawn} - {drawn[2][0]}
    assert len(source.catalogue.sizes) == len(source.catalogue.counts) == len(source.catalogue.image_ids) == 3
    said = [str(notice) for notice in source.findings.notices if notice.is_problem]
    assert f"1 files cannot be read and are left out, the first is {bad}" in " ".join(said)


@pytest.mark.parametrize("kind", object_folders.WRITERS)
def test_an_image_that_is_damaged_in_the_middle_is_skipped(tmp_path, kind):
    """A PNG whose header and end are as they should be: only decoding finds the byte that is wrong."""
    drawn = object_folders.write(kind, tmp_path / "files", 4)
    bad = next((tmp_path / "files").rglob(f"{drawn[2][0]}.jpg"))
    Image.fromarray(drawn[2][1]).save(bad, "PNG")
    content = bytearray(bad.read_bytes())
    content[len(content) // 2] ^= 0xFF
    bad.write_bytes(content)
    source = open_source(config_of(tmp_path / "files", bad_files="skip"), "all")
    assert {record.name for record in source.records} == {name for name, _, _ in drawn} - {drawn[2][0]}
    with pytest.raises(ValueError, match=rf"{bad} cannot be read as an image"):
        list(open_source(config_of(tmp_path / "files"), "all").records)


@pytest.mark.parametrize("kind", object_folders.WRITERS)
def test_a_data_set_without_a_readable_image_is_an_error(tmp_path, kind):
    drawn = object_folders.write(kind, tmp_path / "files", 4)
    for name, _, _ in drawn:
        cut(next((tmp_path / "files").rglob(f"{name}.jpg")))
    with pytest.raises(ValueError, match=r"none of \d image\(s\) can be read|no image with SegmentationObject"):
        open_source(config_of(tmp_path / "files", bad_files="skip"), "all")


@pytest.mark.parametrize("part", ["SegmentationClass", "SegmentationObject"])
def test_masks_of_voc_objects_are_checked_before_step_1(tmp_path, part):
    """A mask that is cut in half is named or skipped; one that is a row too short is an error or resized."""
    drawn = object_folders.write("voc_objects", tmp_path / "files", 4)
    bad, short = (tmp_path / f"files/{part}/{drawn[i][0]}.png" for i in (2, 3))
    whole = bad.read_bytes()
    cut(bad)
    with pytest.raises(ValueError, match=rf"{bad} cannot be read as an image.*config\.data\.bad_files=skip"):
        open_source(config_of(tmp_path / "files"), "all")
    left = open_source(config_of(tmp_path / "files", bad_files="skip"), "all")
    assert {record.name for record in left.records} == {name for name, _, _ in drawn} - {drawn[2][0]}
    bad.write_bytes(whole)
    before = {record.name: record for record in open_source(config_of(tmp_path / "files"), "all").records}
    mask = Image.open(short)
    mask.crop((0, 0, mask.width, mask.height - 1)).save(short)
    with pytest.raises(ValueError, match=rf"{short} is 64x47, its image {short.stem}\.jpg 64x48.*tolerate_size"):
        open_source(config_of(tmp_path / "files"), "all")
    source = open_source(config_of(tmp_path / "files", tolerate_size_difference=1), "all")
    objects = next(record.objects for record in source.records if record.name == short.stem)
    assert objects.masks.shape == before[short.stem].objects.masks.shape
    assert np.abs(objects.boxes - before[short.stem].objects.boxes).max() <= 1


def test_masks_of_voc_objects_may_be_drawn_on_photographs_as_stored(tmp_path):
    """A photograph that EXIF turns by 90 degrees: masks turn with it."""
    drawn = object_folders.write("voc_objects", tmp_path / "files", 4)
    name = drawn[1][0]
    before = {record.name: record for record in open_source(config_of(tmp_path / "files"), "all").records}[name]
    object_folders.save_image(tmp_path / f"files/JPEGImages/{name}.jpg", drawn[1][1], orientation=6)
    for part in ("SegmentationClass", "SegmentationObject"):
        path = tmp_path / f"files/{part}/{name}.png"
        Image.open(path).transpose(Image.Transpose.ROTATE_90).save(path)
    after = {record.name: record for record in open_source(config_of(tmp_path / "files"), "all").records}[name]
    np.testing.assert_array_equal(after.objects.masks, before.objects.masks)
    assert np.abs(after.image.astype(int) - before.image).mean() < 2  # JPEG


@pytest.mark.parametrize("text", ["", "{", '{"version": "5.2"}', '{"shapes": ['])
def test_a_damaged_file_of_labelme_is_named_or_skipped(tmp_path, text):
    """One of four files; a JSON file without an image of its name is none of LabelMe's."""
    drawn = object_folders.write("labelme", tmp_path / "files", 4)
    bad = tmp_path / f"files/{drawn[2][0]}.json"
    bad.write_text(text)
    (tmp_path / "files/notes.json").write_text('{"author": "me"}')
    with pytest.raises(ValueError, match=rf"{bad} (is not|has no).*config\.data\.bad_files=skip to leave it out"):
        open_source(config_of(tmp_path / "files"), "all")
    source = open_source(config_of(tmp_path / "files", bad_files="skip"), "all")
    assert {record.name for record in source.records} == {name for name, _, _ in drawn} - {drawn[2][0]}
    said = [str(notice) for notice in source.findings.notices if notice.is_problem]
    assert len(said) == 1
    assert said[0].startswith(f"1 files cannot be read and are left out, the first is {bad}")


def test_shapes_of_cvat(tmp_path):
    """A turned box has no mask; an ellipse has the area pi a b; lines have none."""
    drawn = object_folders.write("cvat", tmp_path / "files", 4)
    path = tmp_path / "files/annotations.xml"
    shapes = (
        '<box label="disc" xtl="10" ytl="10" xbr="30" ybr="20" rotation="90"></box>'
        '<ellipse label="square" cx="32" cy="24" rx="12" ry="6"></ellipse>'
        '<polyline label="disc" points="1,1;9,9"></polyline>'
    )
    text = path.read_text()
    start = text.index("</image>")
    path.write_text(text[:start] + shapes + text[start:])
    source = open_source(config_of(tmp_path / "files"), "all")
    found = next(record.objects for record in source.records if record.name == drawn[0][0])
    np.testing.assert_allclose(found.boxes[-2], [15, 5, 25, 25], atol=1e-4)
    assert not found.masks[-2].any()
    np.testing.assert_allclose(found.boxes[-1], [20, 18, 44, 30], atol=0.1)
    assert abs(found.masks[-1].sum() - np.pi * 12 * 6) < 10
    assert any("1 shapes are left out: they are of the kind polyline" in str(one) for one in source.findings.notices)


def test_a_folder_of_no_known_layout_is_named(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files/notes.txt").write_text("nothing")
    with pytest.raises(
        ValueError, match=r"which has no known layout: it has notes\.txt\. A folder for data\.name=auto"
    ):
        open_source(config_of(tmp_path / "files"), "train")

import io
import json
import pickle
from contextlib import redirect_stdout

import chex
import numpy as np
import pytest
from PIL import Image

from jaxseg.data.coco import classes as coco_classes
from jaxseg.data.coco import rle
from jaxseg.data.coco.format import ground_truth
from jaxseg.data.geometry import boxes_of_masks
from jaxseg.data.sources import open_source

SIZE = (24, 32)  # height, width
SQUARE = [2.0, 3.0, 12.0, 3.0, 12.0, 9.0, 2.0, 9.0]


def square_mask():
    mask = np.zeros((1, *SIZE), np.uint8)
    mask[0, 3:9, 2:12] = 1
    return mask


def annotation(number, image_id=10, **fields):
    usual = {"category_id": 7, "bbox": [2.0, 3.0, 10.0, 6.0], "segmentation": [SQUARE], "iscrowd": 0, "area": 60.0}
    return {"id": number, "image_id": image_id} | usual | fields


def content(annotations, names=("a.jpg", "b.jpg", "c.jpg")):
    """Images 10, 11, 12 ... and the categories 7, cat, and 3, dog."""
    images = [{"id": 10 + i, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for i, name in enumerate(names)]
    categories = [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def write(folder, description, file="annotations/instances_train.json", images="train"):
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(description))
    for number, image in enumerate(description["images"]):
        path = folder / images / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*SIZE, 3), 20 * number, np.uint8)).save(path)


@pytest.fixture
def data(data):
    data.update(name="coco", val="")
    return data


def notices(source):
    """What is said about a split."""
    return [str(notice) for notice in source.findings.notices]


def test_every_form_of_mask(data, files):
    mask = square_mask()
    (compressed,) = rle.encode(mask)
    runs = {"size": list(SIZE), "counts": rle.run_lengths(compressed["counts"]).tolist()}
    parts = [[2.0, 3.0, 7.0, 3.0, 7.0, 9.0, 2.0, 9.0], [7.0, 3.0, 12.0, 3.0, 12.0, 9.0, 7.0, 9.0]]
    forms = [[SQUARE], compressed, runs, parts]
    write(files, content([annotation(i, segmentation=form, iscrowd=int(i == 2)) for i, form in enumerate(forms)]))
    record = open_source(data, "train").records[0]
    np.testing.assert_array_equal(record.objects.masks, np.repeat(mask, 4, axis=0))
    np.testing.assert_array_equal(record.objects.boxes, np.repeat(boxes_of_masks(mask), 4, axis=0))
    np.testing.assert_array_equal(record.objects.crowd, [False, False, True, False])
    chex.assert_type(list(record.objects), [np.float32, np.int32, np.uint8, bool])
    assert record.name == "a"
    assert record.tags == {"image_id": 10, "annotation_ids": (0, 1, 2, 3)}


def test_what_is_known_before_anything_is_decoded(data, files):
    write(files, content([annotation(1), annotation(2, iscrowd=1), annotation(3, 12, category_id=3)]))
    source = open_source(data, "train")
    catalogue = source.catalogue
    assert source.class_names == ("background", "dog", "cat")
    assert catalogue.category_ids == (-1, 3, 7)
    assert catalogue.image_ids == (10, 11, 12)
    np.testing.assert_array_equal(catalogue.sizes, [SIZE] * 3)
    np.testing.assert_array_equal(catalogue.counts, [1, 0, 1])
    assert [record.objects.classes.tolist() for record in source.records] == [[2, 2], [], [1]]
    assert [int(record.image[0, 0, 0]) for record in source.records] == [0, 20, 40]
    chex.assert_shape(source.palette, (3, 3))
    assert [entry["id"] for entry in catalogue.annotations(0)] == [1, 2]
    again = pickle.loads(pickle.dumps(source.records))
    chex.assert_trees_all_equal(again[0].objects, source.records[0].objects)


def test_the_ground_truth_is_that_of_the_file(data, files):
    write(files, content([annotation(0, area=59.5), annotation(0, 12, category_id=3)]))
    source = open_source(data, "train")
    assert notices(source) == ["1 annotations share their id with another annotation; all are kept, the first is 0"]
    truth = ground_truth(source)
    assert [image["id"] for image in truth["images"]] == [10, 11, 12]
    assert truth["categories"] == [{"id": 3, "name": "dog"}, {"id": 7, "name": "cat"}]
    assert [(entry["id"], entry["image_id"], entry["area"]) for entry in truth["annotations"]] == [
        (1, 10, 59.5),
        (2, 12, 60.0),
    ]


def test_the_ground_truth_has_what_the_evaluator_asks_for(data, files):
    lacking = annotation(1)
    del lacking["iscrowd"], lacking["area"]
    write(files, content([lacking]))
    (entry,) = ground_truth(open_source(data, "train"))["annotations"]
    assert (entry["iscrowd"], entry["area"]) == (0, 60)


FAULTS = {
    "their image_id is that of no image": {"image_id": 99},
    "their category_id is that of no category": {"category_id": 99},
    "their bbox is not four numbers": {"bbox": [1, 2, 3]},
    "their box has no area": {"bbox": [1, 2, 0, 5], "segmentation": None},
    "their box is outside the image": {"bbox": [40, 2, 5, 5], "segmentation": None},
    "they have neither a box nor a segmentation": {"segmentation": [], "bbox": None},
    "no polygon of them has three points": {"segmentation": [[1, 1, 5, 5]]},
    "a polygon of them has an odd number of numbers": {"segmentation": [[1, 1, 5, 5, 1, 5, 3]]},
    "a polygon of them is far outside the image": {"segmentation": [[1, 1, 1e9, 5, 1, 5]]},
    "a polygon of them is not a list of numbers": {"segmentation": [[1, 1, 5, None, 1, 5]]},
    "their run-length code has another size than the image": {"segmentation": {"size": [4, 4], "counts": [16]}},
    "their run lengths do not add up to the image": {"segmentation": {"size": list(SIZE), "counts": [700]}},
    "their run-length code cannot be read": {"segmentation": {"size": list(SIZE)}},
    "a run-length code of them cannot be read, or has another size than the others": {
        "segmentation": [{"size": list(SIZE), "counts": [768]}, {"size": [4, 4], "counts": [16]}]
    },
    "their iscrowd is neither 0 nor 1": {"iscrowd": "no"},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_annotations_of_no_use_are_left_out_counted_and_named(data, files, fault):
    wrong = [annotation(41, **FAULTS[fault]), annotation(42, **FAULTS[fault])]
    write(files, content([annotation(40), *wrong]))
    source = open_source(data, "train")
    assert notices(source) == [f"2 annotations are left out: {fault}, the first is 41"]
    assert [entry["id"] for entry in source.catalogue.annotations(0)] == [40]
    for record in source.records:  # nothing is said, and nothing fails, when records are read
        assert len(record.objects.classes) == (record.name == "a")


def halves(masks):
    """The left and the right half of a mask as run-length codes, one of them with a list of numbers."""
    left, right = masks.copy(), masks.copy()
    left[..., 7:], right[..., :7] = 0, 0
    code, other = rle.encode(left)[0], rle.encode(right)[0]
    return [code, other | {"counts": rle.run_lengths(other["counts"]).tolist()}]


POINTS = [[2.0, 3.0], [12.0, 3.0], [12.0, 9.0], [2.0, 9.0]]
RELATIVE = [number / side for number, side in zip(SQUARE, (SIZE[1], SIZE[0]) * 4, strict=True)]
BOX_OF_POLYGONS = "and get the box of their polygons"
# What has only one meaning: fields of an annotation of the same square, and what is said about it.
ODD = {
    "nested once less": ({"segmentation": SQUARE}, "have polygons or run lengths nested in an unusual way"),
    "nested once more": ({"segmentation": [[SQUARE]]}, "have polygons or run lengths nested in an unusual way"),
    "points": ({"segmentation": [POINTS]}, "have polygons or run lengths nested in an unusual way"),
    "points of one polygon": ({"segmentation": POINTS}, "have polygons or run lengths nested in an unusual way"),
    "a list of one code": ({"segmentation": rle.encode(square_mask())}, "have polygons or run lengths nested"),
    "a list of two codes": ({"segmentation": halves(square_mask())}, "have polygons or run lengths nested"),
    "no box": ({"bbox": None}, "have no box, and get that of their segmentation"),
    "no box beside a code": ({"bbox": [], "segmentation": rle.encode(square_mask())[0]}, "have no box, and get"),
    "corners": (
        {"bbox": [2.0, 3.0, 12.0, 9.0]},
        f"have corners in place of width and height in bbox, {BOX_OF_POLYGONS}",
    ),
    "a box in 0..1": ({"bbox": [0.0625, 0.125, 0.3125, 0.25]}, "have coordinates from 0 to 1, which are scaled"),
    "all in 0..1": (
        {"segmentation": [RELATIVE], "bbox": [0.0625, 0.125, 0.3125, 0.25]},
        "have coordinates from 0 to 1, which are scaled",
    ),
    "another box": ({"bbox": [20.0, 3.0, 5.0, 6.0]}, "have a box that contradicts their polygons"),
    "a crowd that is null": ({"iscrowd": None}, "have an iscrowd that is null or text, which is read"),
    "a crowd that is text": ({"iscrowd": "0"}, "have an iscrowd that is null or text, which is read"),
    "text ids": ({"image_id": "10", "category_id": "7"}, "have ids that are text or floats, which are read"),
    "float ids": ({"image_id": 10.0, "category_id": 7.0}, "have ids that are text or floats, which are read"),
}


@pytest.mark.parametrize("case", ODD)
def test_what_has_one_meaning_is_taken_with_one_notice(data, files, case):
    fields, said = ODD[case]
    write(files, content([annotation(1), annotation(2, **fields), annotation(3, **fields)]))
    source = open_source(data, "train")
    (notice,) = notices(source)
    assert notice.startswith(f"2 annotations {said}")
    assert notice.endswith("the first is 2")
    objects = source.records[0].objects
    np.testing.assert_array_equal(objects.masks, np.repeat(square_mask(), 3, axis=0))
    np.testing.assert_array_equal(objects.boxes, [[2, 3, 12, 9]] * 3)
    np.testing.assert_array_equal(objects.classes, [2, 2, 2])
    assert not objects.crowd.any()


def test_ids_that_are_words_are_numbered(data, files):
    description = content([annotation(1, "img-b", category_id="dog")], ("a.jpg", "b.jpg"))
    for image, number in zip(description["images"], ("img-a", "img-b"), strict=True):
        image["id"] = number
    description["categories"] = [{"id": "cat", "name": "cat"}, {"id": "dog", "name": "dog"}]
    write(files, description)
    source = open_source(data, "train")
    assert source.catalogue.image_ids == (1, 2)
    assert [record.objects.classes.tolist() for record in source.records] == [[], [2]]


def test_boxes_without_segmentation_have_no_mask(data, files):
    write(files, content([annotation(1, segmentation=None), annotation(2, segmentation=[])]))
    source = open_source(data, "train")
    (notice,) = notices(source)
    assert notice.startswith("2 annotations have a box but no segmentation: they train the box branch only")
    objects = source.records[0].objects
    np.testing.assert_array_equal(objects.boxes, [[2, 3, 12, 9]] * 2)
    assert not objects.masks.any()
    entry = ground_truth(source)["annotations"][0]
    assert (entry["box_only"], entry["area"]) == (True, 60.0)


def test_sizes_that_are_missing_are_those_of_the_files(data, files):
    description = content([annotation(1)])
    for image in description["images"]:
        del image["width"], image["height"]
    write(files, description)
    source = open_source(data, "train")
    np.testing.assert_array_equal(source.catalogue.sizes, [SIZE] * 3)
    assert notices(source)[0].startswith("3 images have no width and height in the annotations, and get those of")


def test_files_that_stand_there_twice_are_joined(data, files):
    description = content([annotation(1), annotation(2, 12)], ("a.jpg", "b.jpg"))
    description["images"].append(description["images"][0] | {"id": 12})
    write(files, description)
    source = open_source(data, "train")
    assert [len(record.objects.classes) for record in source.records] == [2, 0]
    assert notices(source) == ["1 images stand there more than once; their annotations are joined, the first is a.jpg"]


def crowded(**fields):
    """Two regions that are crowds and one that is none."""
    entries = [annotation(1, iscrowd=1), annotation(2, iscrowd=1), annotation(3)]
    return content([entry | fields for entry in entries])


@pytest.mark.parametrize(
    ("crowds", "fields", "expected", "said"),
    [
        ("auto", {}, [True, True, False], "2 of 3 annotations have iscrowd 1, which is most of them"),
        ("crowd", {}, [True, True, False], ""),
        ("object", {}, [False, False, False], "2 annotations have iscrowd 1 and are read as objects"),
        ("auto", {"attributes": {"occluded": False}}, [False] * 3, "2 annotations have iscrowd 1 and are read as obj"),
        ("crowd", {"attributes": {"occluded": False}}, [True, True, False], ""),
    ],
)
def test_crowds(data, files, crowds, fields, expected, said):
    """CVAT marks brush masks as crowds; elsewhere the user says what is meant."""
    write(files, crowded(**fields))
    with data.unlocked():
        data.crowds = crowds
    source = open_source(data, "train")
    np.testing.assert_array_equal(source.records[0].objects.crowd, expected)
    assert source.catalogue.counts[0] == 3 - sum(expected)
    assert len(notices(source)) == bool(said)
    assert all(notice.startswith(said) for notice in notices(source))


def test_memory_follows_max_objects(data, files):
    """The largest objects remain, in their order; the others are never decoded."""
    boxes = [[1.0, 1.0, 2.0 + i, 3.0] for i in (0, 5, 2, 9, 1)]
    entries = [
        annotation(i, bbox=box, segmentation=[[1, 1, 1 + box[2], 1, 1 + box[2], 4, 1, 4]])
        for i, box in enumerate(boxes)
    ]
    write(files, content(entries))
    data.max_objects = 2
    source = open_source(data, "train")
    record = source.records[0]
    assert record.tags["annotation_ids"] == (1, 3)
    assert record.objects.masks.shape == (2, *SIZE)
    assert len(source.catalogue.annotations(0)) == 5  # all of them are scored
    assert source.catalogue.counts[0] == 5


def test_a_missing_image_is_named_with_the_settings_that_help(data, files):
    write(files, content([annotation(1), annotation(2, 11)]))
    (files / "train/b.jpg").unlink()
    message = r"train/b\.jpg is missing.*config\.data\.missing=skip.*config\.data\.images=FOLDER"
    with pytest.raises(ValueError, match=message):
        open_source(data, "train")


def test_missing_images_are_left_out_if_asked(data, files):
    write(files, content([annotation(1), annotation(2, 11)]))
    (files / "train/b.jpg").unlink()
    with data.unlocked():
        data.missing = "skip"
    source = open_source(data, "train")
    assert [record.name for record in source.records] == ["a", "c"]
    assert notices(source) == ["1 of 3 images have no image file and are left out, the first is b.jpg"]


@pytest.mark.parametrize(
    "name",
    ["..\\..\\upload\\a.jpg", "/home/somebody/photos/a.jpg", "C:\\Users\\a.jpg", "http://host/d/a.jpg?x=1", "./a.jpg"],
)
def test_file_names_of_other_machines(data, files, name):
    write(files, content([annotation(1)]))
    description = content([annotation(1)])
    description["images"][0]["file_name"] = name
    (files / "annotations/instances_train.json").write_text(json.dumps(description))
    source = open_source(data, "train")
    assert [record.name for record in source.records] == ["a", "b", "c"]
    assert notices(source)[0].startswith("1 images have a file_name with back-slashes, a drive or ../, which is read")


def test_objects_as_label_maps(data, files):
    """The larger object is drawn first; crowds and boxes without a mask are ignored where nothing is drawn."""
    large = annotation(1, category_id=3, bbox=[0, 0, 20, 12], segmentation=[[0, 0, 20, 0, 20, 12, 0, 12]])
    crowd = annotation(3, bbox=[18, 0, 6, 4], segmentation=[[18, 0, 24, 0, 24, 4, 18, 4]], iscrowd=1)
    boxed = annotation(4, bbox=[10, 10, 2, 6], segmentation=None)
    write(files, content([annotation(2), large, crowd, boxed]))
    with data.unlocked():
        data.as_semantic = True
    expected = np.zeros(SIZE, np.uint8)
    expected[10:16, 10:12] = 255
    expected[0:4, 18:24] = 255
    expected[0:12, 0:20] = 1
    expected[3:9, 2:12] = 2
    source = open_source(data, "train")
    record = source.records[0]
    np.testing.assert_array_equal(record.label, expected)
    assert record.objects is None
    assert source.fingerprint
    (files / "train/a.jpg").write_bytes((files / "train/b.jpg").read_bytes() + b"0")
    assert open_source(data, "train").fingerprint != source.fingerprint


def test_compressed_run_lengths_that_are_damaged(data, files):
    (code,) = rle.encode(square_mask())
    wrong = [code["counts"][:-1], code["counts"] + "1", "", "~~~~", "ooo"]
    wrong = [annotation(i, segmentation=code | {"counts": counts}) for i, counts in enumerate(wrong)]
    write(files, content(wrong))
    source = open_source(data, "train")
    assert sum(notice.count for notice in source.findings.notices) == 5
    assert source.catalogue.counts.sum() == 0


def test_what_leaves_the_image_is_cut_off(data, files):
    polygon = [25.0, 3.0, 40.0, 3.0, 40.0, 9.0, 25.0, 9.0]
    write(files, content([annotation(5, bbox=[25.0, 3.0, 15.0, 6.0], segmentation=[polygon, [1.0, 1.0]])]))
    source = open_source(data, "train")
    assert sorted(notices(source)) == [
        "1 annotations have a box that leaves the image, and are cut off, the first is 5",
        "1 annotations have a polygon without three points, which is left out, the first is 5",
    ]
    objects = source.records[0].objects
    np.testing.assert_array_equal(objects.boxes, [[25, 3, 32, 9]])
    assert objects.masks.sum() == 7 * 6


@pytest.mark.parametrize("area", [None, "60", -3.5])
def test_an_area_that_is_none_is_that_of_the_mask(data, files, area):
    write(files, content([annotation(5, area=area)]))
    source = open_source(data, "train")
    assert notices(source)[0].startswith("1 annotations have an area that is not a number, and get the area of their")
    assert [entry["area"] for entry in ground_truth(source)["annotations"]] == [60]


def remove_image(folder, description):
    (folder / "train/b.jpg").unlink()


def change(part, index, **fields):
    def damage(folder, description):
        description[part][index].update(fields)
        (folder / "annotations/instances_train.json").write_text(json.dumps(description))

    return damage


def another_size(folder, description):
    Image.new("RGB", (SIZE[1], SIZE[0] + 1)).save(folder / "train/c.jpg")


def test_a_category_without_objects_that_repeats_a_name_is_left_out(data, files):
    """Roboflow writes a root category with the name of the project, which may be that of a class."""
    description = content([annotation(1)])
    description["categories"].insert(0, {"id": 0, "name": "cat", "supercategory": "none"})
    write(files, description)
    source = open_source(data, "train")
    assert source.class_names == ("background", "dog", "cat")
    assert source.catalogue.category_ids == (-1, 3, 7)
    assert notices(source) == [
        "1 categories are left out: another one has the same name, and they have no objects, the first is cat"
    ]


def same_name(folder, description):
    change("annotations", 1, category_id=3)(folder, description)
    change("categories", 1, name="cat")(folder, description)


def torn(folder, description):
    (folder / "annotations/instances_train.json").write_text("{")


ERRORS = {
    r"train/b\.jpg is missing, the first of 1 image.* as image 11\. Set config\.data\.missing=skip": remove_image,
    r"image 10, b\.jpg, has the id of another image, a\.jpg": change("images", 1, id=10),
    r"image 11, a\.jpg, stands there twice, with different sizes": change("images", 1, file_name="a.jpg", height=9),
    r"image 11, b\.jpg, has height and width \(0, 32\)": change("images", 1, height=0),
    r"'cat' and 'dog' have the same id 7": change("categories", 1, id=7),
    r"the categories 7 and 3 have the same name 'cat'.*Rename one": same_name,
    r"the category .* has not both an id": change("categories", 1, name=None),
    r"c\.jpg is 32x25; image 12 of the annotations expects 32x24.* first of 1 .* Use the images": another_size,
    r"instances_train\.json is not JSON": torn,
}


@pytest.mark.parametrize("message", ERRORS)
def test_what_contradicts_itself_is_an_error(data, files, message):
    description = content([annotation(1), annotation(2, 11)])
    write(files, description)
    open_source(data, "train")
    ERRORS[message](files, description)
    with pytest.raises(ValueError, match=message):
        open_source(data, "train")


def test_images_that_a_camera_turned(data, files):
    """Annotated as they lie or as they are shown: the size in the file says which."""
    description = content([annotation(1)], ("a.jpg",))
    write(files, description)
    path = files / "train/a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.open(path).save(path, exif=exif)
    assert open_source(data, "train").records[0].image.shape == (*SIZE, 3)
    change("images", 0, height=SIZE[1], width=SIZE[0])(files, description)
    assert open_source(data, "train").records[0].image.shape == (SIZE[1], SIZE[0], 3)


@pytest.mark.parametrize(
    ("file", "images"),
    [
        ("annotations/instances_train2017.json", "train2017"),
        ("annotations/instances_train.json", "images/train"),
        ("annotations/instances_train.json", "images"),
        ("train/_annotations.coco.json", "train"),
    ],
)
def test_the_usual_places(data, files, file, images):
    write(files, content([annotation(1)]), file, images)
    assert len(open_source(data, "train").records) == 3
    with pytest.raises(ValueError, match=r"is 'test'; expected one of the splits that coco has in .*: train"):
        open_source(data, "test")


def test_other_places(data, files):
    write(files, content([annotation(1)]), "labels/mine_dev.json", "photos/dev/jpeg")
    data.update(annotations="labels/mine_{split}.json", images="photos/{split}/jpeg")
    assert open_source(data, "dev").records[2].image[0, 0, 0] == 40


def test_one_file_divided(data, files):
    names = [f"{number}.png" for number in range(10)]
    write(files, content([annotation(1)], names), "annotations/instances_default.json", "images")
    data.split_seed = 1337
    parts = [{record.name for record in open_source(data, split).records} for split in ("train", "val", "all")]
    assert [len(part) for part in parts] == [8, 2, 10]
    assert parts[0] | parts[1] == parts[2]
    with pytest.raises(ValueError, match="is 'test'; expected one of the splits that coco has"):
        open_source(data, "test")


def test_nothing_where_annotations_should_be(data, files):
    with pytest.raises(ValueError, match=r"instances_val\.json or .* is missing\. COCO's images"):
        open_source(data, "val")


@pytest.mark.parametrize("file", ["annotations/instances_train.json", "annotations/instances_default.json", "my.json"])
def test_a_validation_split_is_drawn_where_there_is_none(data, files, file):
    write(files, content([annotation(1)], [f"{number}.png" for number in range(10)]), file, "images")
    data.val = "val"
    sources = [open_source(data, split) for split in ("train", "val")]
    names = [{record.name for record in source.records} for source in sources]
    assert [len(part) for part in names] == [8, 2]
    assert len(names[0] | names[1]) == 10
    assert notices(sources[1])[0].startswith("2 of 10 images are drawn at random for val, since the data has no val")
    data.val = ""
    assert len(open_source(data, "train").records) == 10


def test_cocos_own_categories_keep_their_numbers(data, files):
    description = content([annotation(1, category_id=90)])
    names = enumerate(coco_classes.CLASS_NAMES)
    official = [{"id": i, "name": name} for i, name in names if i and name != coco_classes.UNUSED]
    description["categories"] = official
    write(files, description)
    source = open_source(data, "train")
    assert source.class_names == coco_classes.CLASS_NAMES
    assert source.records[0].objects.classes.tolist() == [90]
    assert len(ground_truth(source)["categories"]) == 80
    description["categories"] = official[1:]  # without persons it is somebody's own data set
    write(files, description)
    source = open_source(data, "train")
    assert len(source.class_names) == 80
    assert source.records[0].objects.classes.tolist() == [79]
    assert source.catalogue.category_ids[79] == 90


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools, under numpy 2
def test_real_images_of_coco(data, shared_data):
    from pycocotools.coco import COCO

    data.source_dir = str(shared_data / "coco_tiny")
    for split, count in (("train", 699), ("val", 804)):
        source = open_source(data, split)
        assert len(source.records) == 80
        assert source.catalogue.counts.sum() == count
        assert len(source.class_names) == 91
        with redirect_stdout(io.StringIO()):
            truth = COCO(f"{data.source_dir}/annotations/instances_{split}2017.json")
        for index in range(0, 80, 13):
            record = source.records[index]
            entries = truth.loadAnns(record.tags["annotation_ids"])
            assert record.tags["annotation_ids"] == tuple(truth.getAnnIds(record.tags["image_id"]))
            np.testing.assert_array_equal(record.objects.classes, [entry["category_id"] for entry in entries])
            for entry, mask in zip(entries, record.objects.masks, strict=True):
                np.testing.assert_array_equal(mask, truth.annToMask(entry))
        # Objects' official boxes are those of their masks but for a few.
        off = [np.abs(boxes_of_masks(record.objects.masks) - record.objects.boxes).max() for record in source.records]
        assert np.median(off) < 2

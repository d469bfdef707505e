import io
import json
import pickle
import warnings
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
    data.name = "coco"
    return data


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
    with pytest.warns(UserWarning, match=r"1 id\(s\) stand for several annotations, the first is 0"):
        source = open_source(data, "train")
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
    "image_id is that of no image": {"image_id": 99},
    "category_id is that of no category": {"category_id": 99},
    "bbox is not four numbers": {"bbox": [1, 2, 3]},
    "box has no area": {"bbox": [1, 2, 0, 5]},
    "box is outside the image": {"bbox": [40, 2, 5, 5]},
    "it has no segmentation": {"segmentation": []},
    "no polygon of it has three points": {"segmentation": [[1, 1, 5, 5]]},
    "an odd number of numbers": {"segmentation": [[1, 1, 5, 5, 1, 5, 3]]},
    "far outside the image": {"segmentation": [[1, 1, 1e9, 5, 1, 5]]},
    "not a list of numbers": {"segmentation": [[1, 1, 5, None, 1, 5]]},
    "another size than the image": {"segmentation": {"size": [4, 4], "counts": [16]}},
    "do not add up": {"segmentation": {"size": list(SIZE), "counts": [700]}},
    "cannot be read": {"segmentation": {"size": list(SIZE)}},
    "iscrowd is neither 0 nor 1": {"iscrowd": "no"},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_annotations_of_no_use_are_left_out_counted_and_named(data, files, fault):
    wrong = [annotation(41, **FAULTS[fault]), annotation(42, **FAULTS[fault])]
    write(files, content([annotation(40), *wrong]))
    message = rf"2 annotation\(s\) left out, the first is 41: .*{fault}"
    with pytest.warns(UserWarning, match=message) as said:
        source = open_source(data, "train")
    assert len(said) == 1
    assert [entry["id"] for entry in source.catalogue.annotations(0)] == [40]
    for record in source.records:  # nothing is said, and nothing fails, when records are read
        assert len(record.objects.classes) == (record.name == "a")


def test_compressed_run_lengths_that_are_damaged(data, files):
    (code,) = rle.encode(square_mask())
    wrong = [code["counts"][:-1], code["counts"] + "1", "", "~~~~", "ooo"]
    wrong = [annotation(i, segmentation=code | {"counts": counts}) for i, counts in enumerate(wrong)]
    write(files, content(wrong))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        source = open_source(data, "train")
    assert said
    assert source.catalogue.counts.sum() == 0


def test_what_leaves_the_image_is_cut_off(data, files):
    polygon = [25.0, 3.0, 40.0, 3.0, 40.0, 9.0, 25.0, 9.0]
    write(files, content([annotation(5, bbox=[25.0, 3.0, 15.0, 6.0], segmentation=[polygon, [1.0, 1.0]])]))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        objects = open_source(data, "train").records[0].objects
    assert sorted(str(warning.message).split(": ", 1)[1] for warning in said) == [
        "1 annotation(s) cut off, the first is 5: its box leaves the image",
        "1 annotation(s) kept without it, the first is 5: a polygon of it has not three points",
    ]
    np.testing.assert_array_equal(objects.boxes, [[25, 3, 32, 9]])
    assert objects.masks.sum() == 7 * 6


@pytest.mark.parametrize("area", [None, "60", -3.5])
def test_an_area_that_is_none_is_that_of_the_mask(data, files, area):
    write(files, content([annotation(5, area=area)]))
    with pytest.warns(UserWarning, match=r"1 annotation\(s\) given the area of the mask, the first is 5: its area"):
        source = open_source(data, "train")
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


def torn(folder, description):
    (folder / "annotations/instances_train.json").write_text("{")


ERRORS = {
    r"train/b\.jpg is missing, the first of 1 image.* as image 11 with the annotation\(s\) \[2\]": remove_image,
    r"image 10, b\.jpg, stands there twice": change("images", 1, id=10),
    r"image 11, a\.jpg, stands there twice": change("images", 1, file_name="a.jpg"),
    r"image 11, b\.jpg, has height and width \(0, 32\)": change("images", 1, height=0),
    r"'cat' and 'dog' have the same id 7": change("categories", 1, id=7),
    r"the category .* has not both an id": change("categories", 1, name=None),
    r"c\.jpg is 32x25; image 12 of the annotations expects 32x24": another_size,
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
    with pytest.raises(ValueError, match=r"instances_val\.json or .* is missing\. COCO's images"):
        open_source(data, "val")


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
    with pytest.raises(ValueError, match="no split 'test'"):
        open_source(data, "test")


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

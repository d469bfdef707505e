import numpy as np
import pytest
from PIL import Image
from tiny_datasets import draw, save, write_folder

from jaxseg.data.colors import distinct_colors
from jaxseg.data.sources import open_source
from jaxseg.types import IGNORE

NAMES = [f"photo {number}" for number in range(10)]


@pytest.fixture
def own(data):
    data.name = "folder"
    return data


def names(own, split):
    return [record.name for record in open_source(own, split).records]


def test_class_numbers_are_found(own, files):
    masks = write_folder(files, NAMES)
    source = open_source(own, "all")
    assert source.class_names == ("class 0", "class 1", "class 2")
    np.testing.assert_array_equal(source.palette, [[0, 0, 0], *distinct_colors(2)])
    for record in source.records:
        np.testing.assert_array_equal(record.label, masks[record.name])


def test_names_and_the_palette_of_the_masks(own, files):
    colors = np.random.default_rng(0).integers(0, 256, (256, 3))
    masks = write_folder(files, NAMES, values=(0, 2, 255), palette=colors)
    (files / "classes.txt").write_text("ground\nhouse\n\nroof, red\n")
    source = open_source(own, "all")
    assert source.class_names == ("ground", "house", "roof, red")
    np.testing.assert_array_equal(source.palette, colors[:3])
    np.testing.assert_array_equal(source.records[0].label, masks[source.records[0].name])


@pytest.mark.parametrize("listed", [False, True])
def test_masks_of_0_and_255_have_two_classes(own, files, listed):
    masks = write_folder(files, NAMES, values=(0, 255))
    if listed:
        (files / "classes.txt").write_text("ground\nhouse\n")
    source = open_source(own, "all")
    assert source.class_names == (("ground", "house") if listed else ("background", "foreground"))
    np.testing.assert_array_equal(source.records[3].label, masks[source.records[3].name] == 255)


def test_one_mask_with_another_number_makes_255_ignored(own, files):
    write_folder(files, NAMES, values=(0, 255))
    before = open_source(own, "all")
    label = draw(0, [0, 1])[1]
    label[0] = 255
    save(files / f"masks/{NAMES[4]}.png", label)
    (files / "classes.txt").write_text("ground\nhouse\n")
    after = open_source(own, "all")
    assert set(np.unique(after.records[0].label)) == {0, IGNORE}
    assert before.fingerprint != after.fingerprint


@pytest.mark.parametrize(
    ("values", "message"),
    [((0,), "hold the number 0 only")],
)
def test_numbers_that_are_no_classes(own, files, values, message):
    write_folder(files, NAMES[:2], values)
    with pytest.raises(ValueError, match=rf"{message}.*classes\.txt"):
        open_source(own, "all")


def test_a_number_that_has_no_name(own, files):
    write_folder(files, NAMES[:2], (0, 1, 3))
    (files / "classes.txt").write_text("a\nb\nc\n")
    with pytest.raises(ValueError, match=r"masks/photo 0\.png has the value 3; expected only 0, 1, 2 and 255"):
        open_source(own, "all")
    (files / "classes.txt").write_text("a\na\n")
    with pytest.raises(ValueError, match=r"classes\.txt has 1 different names in 2 lines"):
        open_source(own, "all")


def test_chance_divides_what_nobody_has_divided(own, files):
    write_folder(files, NAMES)
    own.val_fraction = 0.3
    train, val = names(own, "train"), names(own, "val")
    assert (len(train), len(val)) == (7, 3)
    assert sorted(train + val) == NAMES
    assert names(own, "val") == val
    with pytest.raises(ValueError, match="folder has no split 'test'; expected one of train, val, all"):
        open_source(own, "test")
    own.val_fraction = 1.0
    with pytest.raises(ValueError, match=r"config\.data\.val_fraction is 1\.0 of 10 image"):
        open_source(own, "val")


def test_lists_divide(own, files):
    write_folder(files, NAMES)
    (files / "train.txt").write_text("photo_a\nphoto_b.jpg\n")
    write_folder(files, ["photo_a", "photo_b"])
    (files / "test.txt").write_text("\n".join(NAMES[:2]).replace("photo ", "photo"))
    assert names(own, "train") == ["photo_a", "photo_b"]
    with pytest.raises(ValueError, match="folder has no split 'val'; expected one of train, test, all"):
        open_source(own, "val")
    with pytest.raises(ValueError, match=r"test\.txt names photo0, the first of 2 name\(s\) without an im"):
        open_source(own, "test")
    own.split_seed = 1337
    assert len(names(own, "val")) == 2


def test_images_without_a_mask_and_masks_without_an_image_are_counted(own, files):
    write_folder(files, NAMES[:4])
    (files / "masks" / f"{NAMES[0]}.png").unlink()
    assert names(own, "all") == NAMES[1:4]
    (files / "images" / f"{NAMES[1]}.jpg").unlink()
    source = open_source(own, "all")
    assert [record.name for record in source.records] == NAMES[2:4]
    said = [str(notice) for notice in source.findings.notices]
    assert "1 of 3 images have no mask and are left out" in said[0]
    assert "config.data.unlabeled=background" in said[0]
    assert said[1].endswith("masks/photo 1.png")
    assert said[1].startswith("1 masks have no image and are left out")
    own.unlabeled = "background"
    source = open_source(own, "all")
    assert [record.name for record in source.records] == [NAMES[0], *NAMES[2:4]]
    assert not source.records[0].label.any()


def test_an_empty_folder_says_what_belongs_into_it(own, files):
    with pytest.raises(
        ValueError, match=r"files has nothing; expected a folder of images.* A data set of your own has"
    ):
        open_source(own, "train")


def test_masks_of_other_kinds(own, files):
    """Black and white, 16 bits, and colors, which are no numbers."""
    write_folder(files, NAMES[:3], (0, 1))
    mask = draw(9, [0, 1])[1]
    Image.fromarray(mask * np.uint8(255)).convert("1").save(files / "masks/photo 0.png")
    Image.fromarray(mask.astype(np.uint16)).save(files / "masks/photo 1.png")
    for record in list(open_source(own, "all").records)[:2]:
        np.testing.assert_array_equal(record.label, mask)

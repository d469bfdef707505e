"""Folders as people have them: each layout is read without renaming a file."""

import unicodedata

import numpy as np
import pytest
from PIL import Image
from tiny_datasets import draw, save, voc_palette

from jaxseg.data.images import DEFAULTS, read_header
from jaxseg.data.instances.annotated_records import AnnotatedImage, AnnotatedRecords
from jaxseg.data.semantic.batches import eval_batches
from jaxseg.data.sources import open_source
from jaxseg.inference.images import to_image
from jaxseg.run.inspection import draw_record

BLOCK = np.kron(np.array([[0, 1], [1, 1]], np.uint8), np.ones((16, 20), np.uint8))  # a quarter of 0


@pytest.fixture
def own(data):
    data.name = "folder"
    return data


def write(image, mask, values=BLOCK):
    """Writes an image and its mask, whose folders are made."""
    image.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw([len(str(image.name))], [0])[0]).save(
        image, format="PNG" if image.suffix == ".png" else "JPEG"
    )
    save(mask, values)


def names(own, split):
    return [record.name for record in open_source(own, split).records]


def said(own, split="all"):
    return [str(notice) for notice in open_source(own, split).findings.notices]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/{}.jpg", "masks/{}.png"),
        ("img/{}.jpg", "gt/{}.png"),
        ("Images/{}.JPG", "Labels/{}.PNG"),
        ("img_dir/{}.jpg", "ann_dir/{}.png"),
        ("JPEGImages/{}.jpg", "SegmentationClass/{}.png"),
        ("images/{}.jpg", "annotations/{}.png"),
        ("images/{}.jpg", "masks/{}_mask.png"),
        ("images/{}.jpg", "masks/{}_label.png"),
        ("images/{}.jpg", "masks/{}_gt.png"),
        ("images/{}.jpg", "masks/{}.jpg.png"),
        ("images/{}.jpg", "masks/mask_{}.png"),
        ("images/{}_sat.jpg", "masks/{}_mask.png"),
        ("{}.jpg", "{}_mask.png"),
        ("images/scene 1/{}.jpg", "masks/scene 1/{}.png"),
        ("images/scene 1/{}.jpg", "masks/{}.png"),
        ("scene 1/images/{}.jpg", "scene 1/masks/{}.png"),
    ],
)
def test_one_folder_of_images_and_one_of_masks(own, files, image, mask):
    stems = ["a", "b.c", "mein Foto ü"]
    for stem in stems:
        write(files / image.format(stem), files / mask.format(stem))
    source = open_source(own, "all")
    assert len(source.records) == 3
    for record in source.records:
        np.testing.assert_array_equal(record.label, BLOCK)
    assert (len(names(own, "train")), len(names(own, "val"))) == (2, 1)  # a fifth, but at least one


@pytest.mark.parametrize("val", ["val", "valid", "Validation"])
@pytest.mark.parametrize(
    "layout", ["{split}/images|{split}/masks", "images/{split}|masks/{split}", "{split}|{split}_masks"]
)
def test_folders_of_splits(own, files, layout, val):
    image, mask = layout.split("|")
    for split, stems in (("train", "abc"), (val, "de")):
        for stem in stems:
            write(files / image.format(split=split) / f"{stem}.jpg", files / mask.format(split=split) / f"{stem}.png")
    assert names(own, "train") == ["train/a", "train/b", "train/c"]
    assert names(own, "val") == names(own, "valid") == ["val/d", "val/e"]
    assert len(names(own, "all")) == 5
    with pytest.raises(ValueError, match=r"no split 'test'; expected one of train, val, all.*config\.data\.val=val"):
        open_source(own, "test")
    own.split_seed = 7
    assert len(names(own, "train")) == 4


def test_without_a_validation_split_one_is_drawn_and_said(own, files):
    for stem in "abcde":
        write(files / f"train/images/{stem}.jpg", files / f"train/masks/{stem}.png")
    train, val = names(own, "train"), names(own, "val")
    assert (len(train), len(val)) == (4, 1)
    assert sorted(train + val) == [f"train/{stem}" for stem in "abcde"]
    assert said(own, "val")[0].startswith("1 of 5 images are drawn at random for val")
    assert said(own, "train")[0].startswith("4 of 5 images are drawn at random for train, since the data has no valid")
    own.val = ""
    assert len(names(own, "train")) == 5


def test_without_splits_they_are_drawn_and_said(own, files):
    for stem in "abcde":
        write(files / f"images/{stem}.jpg", files / f"masks/{stem}.png")
    for split, count in (("train", 4), ("val", 1)):
        (one,) = said(own, split)
        assert one.startswith(f"{count} of 5 images are drawn at random for {split}, since the data has no splits")
    own.split_seed = 3
    assert not said(own, "val")


def test_arrays_in_place_of_masks_are_named(own, files):
    write(files / "images/a.jpg", files / "images/b.png")
    (files / "masks").mkdir()
    np.save(files / "masks/a.npy", BLOCK)
    for name in ("folder", "auto"):
        own.name = name
        with pytest.raises(ValueError, match=r"1 file\(s\), the first masks/a\.npy,.* read: \.npy\. Save masks as PNG"):
            open_source(own, "all")


def test_roboflow(own, files):
    """x.jpg, x_mask.png and _classes.csv in one folder per split; 2 is cat and 0 background."""
    for split in ("train", "valid", "test"):
        write(files / split / "x.jpg", files / split / "x_mask.png", 2 * BLOCK)
        (files / split / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, dog\n2, cat\n")
    source = open_source(own, "val")
    assert source.class_names == ("background", "dog", "cat")
    np.testing.assert_array_equal(source.records[0].label, 2 * BLOCK)
    assert names(own, "test") == ["test/x"]


@pytest.mark.parametrize("listed", ["labels.txt", "labelmap.txt"])
def test_voc_with_classes_of_ones_own(own, files, listed):
    """Palette masks with ignored borders, lists of names, and three classes."""
    values = BLOCK * 2
    values[0] = 255
    for stem in "abc":
        write(files / f"JPEGImages/{stem}.jpg", files / f"SegmentationClass/{stem}.png")
        save(files / f"SegmentationClass/{stem}.png", values, voc_palette())
    colors = {"labels.txt": ("", "", ""), "labelmap.txt": (":0,0,0::", ":128,0,0::", ":0,128,0::")}[listed]
    text = "".join(f"{name}{color}\n" for name, color in zip(("_background_", "cat", "dog"), colors, strict=True))
    (files / listed).write_text(text.replace("_background_:", "background:"))
    (files / "ImageSets/Segmentation").mkdir(parents=True)
    (files / "ImageSets/Segmentation/train.txt").write_text("a\nb\n")
    (files / "ImageSets/Segmentation/val.txt").write_text("c\n")
    (files / "Annotations").mkdir()
    (files / "Annotations/a.xml").write_text("<annotation/>")
    source = open_source(own, "train")
    assert source.class_names == ("background", "cat", "dog")
    assert [record.name for record in source.records] == ["a", "b"]
    np.testing.assert_array_equal(source.records[0].label, values)
    assert source.palette.tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0]]


def test_the_source_voc_takes_classes_of_ones_own(data, files):
    data.name = "voc"
    voc = files / "VOCdevkit/VOC2012"
    for stem in "ab":
        write(voc / f"JPEGImages/{stem}.jpg", voc / f"SegmentationClass/{stem}.png")
    (voc / "labels.txt").write_text("_background_\ncat\n")
    (voc / "ImageSets/Segmentation").mkdir(parents=True)
    (voc / "ImageSets/Segmentation/train.txt").write_text("a\n")
    source = open_source(data, "train")
    assert source.class_names == ("background", "cat")
    assert len(source.records) == 1


LIST = "a b.jpg\nscene\\c.jpg\nfür.jpg\n"


@pytest.mark.parametrize(
    "content",
    [
        LIST.encode(),
        LIST.encode("utf-8-sig"),
        LIST.encode("utf-16"),
        LIST.encode("latin-1"),
        LIST.replace("\n", "\r\n").encode(),
        unicodedata.normalize("NFD", LIST).encode(),
        LIST.replace("\\", "/").replace(".jpg", "").encode(),
        b"./images/a b.jpg\nC:\\data\\images\\scene\\c.jpg\n" + "für.jpg\n".encode(),
    ],
)
def test_lists_of_all_encodings_and_systems(own, files, content):
    """Whole lines are names, and an umlaut matches in composed and decomposed form."""
    write(files / "images/a b.jpg", files / "masks/a b.png")
    write(files / "images/scene/c.jpg", files / "masks/scene/c.png")
    write(files / f"images/{unicodedata.normalize('NFD', 'für')}.jpg", files / "masks/für.png")
    write(files / "images/d.jpg", files / "masks/d.png")
    (files / "train.txt").write_bytes(content)
    (files / "valid.txt").write_text("d\n")
    assert names(own, "train") == ["a b", "scene/c", "für"]
    assert names(own, "val") == ["d"]


def test_an_image_in_two_lists_is_an_error_or_counted(own, files):
    for stem in "abc":
        write(files / f"images/{stem}.jpg", files / f"masks/{stem}.png")
    (files / "train.txt").write_text("a\nb\nb\n")
    (files / "val.txt").write_text("b\nc\n")
    with pytest.raises(
        ValueError, match=r"b, the first of 1 image\(s\), is in .*train\.txt and in .*val\.txt.*allow_over"
    ):
        open_source(own, "train")
    own.allow_overlap = True
    assert names(own, "train") == ["a", "b"]
    assert "1 images are in both train and val, the first is b" in said(own, "val")
    assert "1 names in train.txt occur more than once and count once, the first is a" in said(own, "train")


def test_other_files_are_passed_over_and_counted(own, files):
    write(files / "images/a.jpg", files / "masks/a.png")
    for name in ("Thumbs.db", "a.json", "a.txt", "a.jpg.aux.xml", "._a.jpg", ".DS_Store"):
        (files / "images" / name).write_text("x")
    assert names(own, "all") == ["a"]
    assert said(own)[0].startswith("6 files that are no images are passed over, the first is")


def test_two_images_of_one_name_are_an_error(own, files):
    write(files / "images/a.jpg", files / "masks/a.png")
    write(files / "images/a.png", files / "masks/a.png")
    with pytest.raises(ValueError, match=r"a\.jpg and .*a\.png have the same name without the ending"):
        open_source(own, "all")


def test_names_that_do_not_match_are_shown(own, files):
    write(files / "images/a.jpg", files / "masks/zzz.png")
    with pytest.raises(ValueError, match=r"1 images such as a\.jpg and 1 masks such as zzz\.png"):
        open_source(own, "all")


def test_folders_can_be_named(own, files):
    write(files / "fotos/train/a.jpg", files / "Masken/train/a.png")
    write(files / "fotos/val/b.jpg", files / "Masken/val/b.png")
    with pytest.raises(ValueError, match=r"files has Masken, fotos; expected a folder of images.*config\.data\.images"):
        open_source(own, "train")
    own.update(images="fotos/{split}", annotations="Masken/{split}")
    assert names(own, "train") == ["train/a"]
    own.update(images="fotos", annotations="Masken")
    assert names(own, "val") == ["val/b"]


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_training_and_prediction_see_the_same_pixels_of_odd_files(own, files):
    """Rotated, transparent, CMYK, 16-bit, indexed and several pages: each record is what prediction reads."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 4), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    folder = files / "images"
    folder.mkdir()
    rgb = Image.fromarray(pixels[..., :3])
    rgb.save(folder / "turned.jpg", exif=exif)
    Image.fromarray(pixels).save(folder / "alpha.png")
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(folder / "deep.tif")
    rgb.convert("P").save(folder / "indexed.gif")
    rgb.save(folder / "pages.tif", save_all=True, append_images=[rgb])
    for path in folder.iterdir():
        height, width = read_header(path).size
        save(files / f"masks/{path.stem}.png", np.tile(np.array([0, 1], np.uint8), (height, width // 2)))
    source = open_source(own, "all")
    assert len(source.records) == 6
    for record, path in zip(source.records, source.files, strict=True):
        np.testing.assert_array_equal(record.image, to_image(path)[0])


ODD_ENDINGS = {
    "RGB": "jpg",
    "RGBA": "png",
    "LA": "png",
    "CMYK": "jpg",
    "P": "gif",
    "L": "jpg",
    "1": "png",
    "I;16": "tif",
}


def save_odd(folder, number):
    """Saves an image of a random mode, size and orientation."""
    rng = np.random.default_rng(number)
    mode = list(ODD_ENDINGS)[number % len(ODD_ENDINGS)]
    height, width = rng.integers(9, 40, 2)
    pixels = rng.integers(0, 256, (height, width, 4), np.uint8)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(pixels).convert("RGBA" if mode in ("RGBA", "LA") else "RGB").convert(mode)
    exif = Image.Exif()
    exif[0x0112] = int(rng.integers(1, 9))
    path = folder / f"odd {number}.{ODD_ENDINGS[mode]}"
    image.save(path, **({"exif": exif} if path.suffix == ".jpg" else {}))
    return path


def test_all_entry_points_see_the_same_pixels_of_odd_files(own, files):
    """Prediction, training, evaluation, inspection and annotation files, for 24 random kinds of files."""
    (files / "images").mkdir()
    paths = {}
    for number in range(24):
        path = save_odd(files / "images", number)
        height, width = read_header(path).size
        paths[path.stem] = path
        save(files / f"masks/{path.stem}.png", np.repeat(np.uint8([[0]] * (height - 2) + [[1]] * 2), width, axis=1))
    (files / "classes.txt").write_text("background\nodd\n")
    own.update(resize="none", score_at="original", workers=0, cache=False)
    source = open_source(own, "all")
    expected = {name: to_image(path)[0] for name, path in paths.items()}
    with eval_batches(source, own, batch_size=4) as batches:
        for batch in batches:
            for row in np.flatnonzero(batch.valid):
                height, width = batch.sizes[row]
                name = source.records[int(batch.index[row])].name
                np.testing.assert_array_equal(batch.image[row, :height, :width], expected[name])
    annotated = AnnotatedRecords(
        [AnnotatedImage(1, name, path, read_header(path).size, []) for name, path in paths.items()], {}, DEFAULTS
    )
    assert {record.name for record in source.records} == set(expected)
    for record in (*source.records, *annotated):
        np.testing.assert_array_equal(record.image, expected[record.name])
    for record in source.records:
        rows = len(record.label) - 4  # Above the object and its outline, a picture is as the image.
        np.testing.assert_array_equal(draw_record(record, source)[:rows], expected[record.name][:rows])


def test_one_named_class_is_that_class_next_to_the_background(own, files):
    for stem in "ab":
        write(files / f"images/{stem}.jpg", files / f"masks/{stem}.png")
    (files / "classes.txt").write_text("cell\n")
    source = open_source(own, "all")
    assert source.class_names == ("background", "cell")
    np.testing.assert_array_equal(source.records[0].label, BLOCK)


def test_a_split_that_is_not_there_is_an_error_with_the_setting_that_helps(own, files):
    for split in ("train", "val"):
        write(files / f"{split}/images/a{split}.jpg", files / f"{split}/masks/a{split}.png")
    own.test = "test"
    with pytest.raises(ValueError, match=r"no split 'test'.*config\.data\.test=val, or config\.data\.split_seed=1337"):
        open_source(own, "test")


@pytest.mark.parametrize("kind", ["images/b.jpg", "masks/b.png"])
def test_damaged_files_are_named_or_skipped(own, files, kind):
    for stem in "abc":
        write(files / f"images/{stem}.jpg", files / f"masks/{stem}.png")
    cut(files / kind)
    with pytest.raises(ValueError, match=rf"{kind} cannot be read as an image.*config\.data\.bad_files=skip"):
        open_source(own, "all")
    own.bad_files = "skip"
    assert names(own, "all") == ["a", "c"]
    assert "1 files cannot be read and are left out" in said(own)[0]
    own.bad_files = "ignore"
    with pytest.raises(ValueError, match=r"config\.data\.bad_files is 'ignore'; expected error or skip"):
        open_source(own, "all")


def test_sizes_that_differ_are_one_list_before_step_1(own, files):
    for stem in "abcd":
        write(files / f"images/{stem}.jpg", files / f"masks/{stem}.png")
    save(files / "masks/b.png", BLOCK[1:])
    save(files / "masks/d.png", BLOCK[:, 2:])
    with pytest.raises(ValueError, match=r"2 of 4 masks .*b\.png is 40x31, its image b\.jpg 40x32; .*d\.png is 38x32"):
        open_source(own, "all")
    own.tolerate_size_difference = 1
    with pytest.raises(ValueError, match=r"1 of 4 masks .*d\.png is 38x32.*tolerate_size_difference"):
        open_source(own, "all")
    own.tolerate_size_difference = 2
    source = open_source(own, "all")
    assert all(record.label.shape == (32, 40) for record in source.records)
    assert "2 masks of another size than their image are resized" in said(own)[0]


def turned(files, stem, orientation, mask):
    """A photograph of 24x32 pixels as stored, with an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    (files / "images").mkdir(exist_ok=True)
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(files / f"images/{stem}.jpg", exif=exif)
    save(files / f"masks/{stem}.png", mask)


def test_masks_drawn_on_the_upright_view_fit(own, files):
    upright, stored = np.zeros((32, 24), np.uint8), np.zeros((24, 32), np.uint8)
    upright[:10] = 1  # the upper part of the view
    stored[:, :10] = 1  # the same part as stored: orientation 6 turns the left side up
    turned(files, "a", 6, upright)
    turned(files, "b", 6, stored)
    turned(files, "c", 3, np.flipud(stored))
    records = open_source(own, "all").records
    np.testing.assert_array_equal(records[0].label, upright)
    np.testing.assert_array_equal(records[1].label, upright)
    np.testing.assert_array_equal(records[2].label, np.flipud(stored))  # taken as drawn on the upright view
    assert all(record.image.shape[:2] == record.label.shape for record in records)
    notices = said(own)
    assert any(one.startswith("1 photographs are turned by EXIF and their masks fit both ways") for one in notices)
    assert any(one.startswith("1 masks are drawn on photographs as stored") for one in notices)


def test_shares_sizes_and_empty_masks_are_counted(own, files):
    """A quarter of BLOCK is 0: two such masks and one of zeros make (0.25 + 0.25 + 1) / 3 = 0.5."""
    for stem in "ab":
        write(files / f"images/{stem}.jpg", files / f"masks/{stem}.png")
    write(files / "images/c.jpg", files / "masks/c.png", 0 * BLOCK)
    findings = open_source(own, "all").findings
    assert findings.images == 3
    assert findings.shares == (0.5, 0.5)
    assert findings.empty == 1
    assert str(findings.notices[0]).startswith("1 of 3 masks are all background")
    assert findings.sizes.tolist() == [[32, 40]] * 3


def test_values_to_ignore_are_said(own, files):
    """255 is in two of three masks; one of them has nothing else but background."""
    write(files / "images/a.jpg", files / "masks/a.png")
    write(files / "images/b.jpg", files / "masks/b.png", np.where(BLOCK == 0, 255, BLOCK).astype(np.uint8))
    write(files / "images/c.jpg", files / "masks/c.png", 255 * BLOCK)
    assert said(own) == [
        f"2 of 3 masks have pixels of the value 255, which are ignored, the first is {files}/masks/b.png",
        f"1 of 3 masks are all background, except for pixels to ignore, the first is {files}/masks/c.png",
    ]


def test_pages_and_value_ranges_are_counted(own, files):
    for stem in "ab":
        write(files / f"images/{stem}.jpg", files / f"masks/{stem}.png")
        (files / f"images/{stem}.jpg").unlink()
        pages = [Image.fromarray(np.full((32, 40), value, np.uint16)) for value in (0, 4000)]
        pages[0].save(files / f"images/{stem}.tif", save_all=True, append_images=pages[1:])
    notices = said(own)
    assert "2 images have several pages and only one is read" in notices[0]
    assert "It has 2; config.data.page chooses one" in notices[0]
    assert "2 images use less than a tenth of their value range" in notices[1]
    own.page, own.value_range = 1, "0,4000"
    assert open_source(own, "all").records[0].image.min() == 255
    assert len(said(own)) == 1


def test_instance_numbers_become_objects_and_borders(own, files):
    """Two cells that touch and one alone; numbers of 16 bits that start again in each file."""
    numbers = np.zeros((32, 40), np.uint16)
    numbers[4:8, 4:8], numbers[4:8, 8:12], numbers[20:25, 20:25] = 1, 2, 3
    for stem in "ab":
        write(files / f"images/{stem}.jpg", files / f"masks/{stem}.png", numbers)
    write(files / "images/c.jpg", files / "masks/c.png", np.where(numbers == 3, 0, numbers))
    source = open_source(own, "all")
    assert source.class_names == ("background", "object", "border")
    record = source.records[0]
    assert np.count_nonzero(record.label == 1) == 2 * 2 + 2 * 2 + 3 * 3  # without the outermost pixels
    assert np.count_nonzero(record.label == 2) == 12 + 12 + 16
    assert record.objects.boxes.tolist() == [[4, 4, 8, 8], [8, 4, 12, 8], [20, 20, 25, 25]]
    assert source.catalogue.counts.tolist() == [3, 3, 2]
    assert source.findings.objects == (0, 8, 0)
    assert "3 masks hold instance numbers" in said(own)[0]
    own.masks = "classes"
    assert open_source(own, "all").class_names == ("class 0", "class 1", "class 2", "class 3")


def test_detectors_have_one_class_of_objects(files):
    from jaxseg import config as defaults

    own = defaults.detector().data
    own.update(name="folder", source_dir=str(files), dir=str(files / "cache"))
    numbers = np.zeros((32, 40), np.uint16)
    numbers[4:8, 4:8], numbers[10:12, 8:12] = 1, 2
    write(files / "images/a.jpg", files / "masks/a.png", numbers)
    with pytest.raises(
        ValueError, match=r"hold classes; expected one number per object.*config\.data\.masks=instances"
    ):
        open_source(own, "all")
    own.masks = "instances"
    source = open_source(own, "all")
    assert source.class_names == ("background", "object")
    assert source.records[0].objects.classes.tolist() == [1, 1]

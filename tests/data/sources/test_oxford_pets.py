import hashlib
import io
import json
import os
import pickle
import random
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import chex
import numpy as np
import pytest
from PIL import Image

from configs.base import get_config
from jaxseg.data.download import Archive
from jaxseg.data.sources import open_source, oxford_pets, oxford_pets_files

TRAINVAL = [f"beagle_{number}" for number in range(1, 11)]
TEST = ["Abyssinian_1", "Abyssinian_34", "Bengal_2"]
UNLISTED = ["american_bulldog_7"]
BOX = "<bndbox><xmin>3</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox>"
XML = f"<annotation><object>{BOX}</object></annotation>"


def write_pet(folder, name, *, size=(20, 16), encoding="JPEG"):
    rng = np.random.default_rng(list(name.encode()))
    image = Image.fromarray(np.full((size[1], size[0], 3), rng.integers(40, 215, 3), np.uint8))
    image.save(folder / "images" / f"{name}.jpg", encoding)
    trimap = rng.integers(1, 4, (size[1], size[0]), np.uint8)
    Image.fromarray(trimap).save(folder / "annotations/trimaps" / f"{name}.png")
    return np.asarray(image), trimap


def write_list(folder, which, names):
    lines = [f"{name} 1 1 1\n" for name in names]
    (folder / "annotations" / f"{which}.txt").write_text("".join(["#Image CLASS-ID SPECIES BREED ID\n", *lines]))


@pytest.fixture
def folder(tmp_path):
    """Fourteen pets in the official layout, one of them a GIF under the name of a JPEG, and what else lies about."""
    folder = tmp_path / "pets"
    for part in ("images", "annotations/trimaps", "annotations/xmls"):
        (folder / part).mkdir(parents=True)
    for name in TRAINVAL + TEST + UNLISTED:
        write_pet(folder, name, encoding="GIF" if name == "Abyssinian_34" else "JPEG")
    write_list(folder, "trainval", [*TRAINVAL, "beagle_99"])  # one that this subset does not have
    write_list(folder, "test", TEST)
    write_list(folder, "list", TRAINVAL + TEST)
    (folder / "annotations/xmls/beagle_3.xml").write_text(XML)
    (folder / "annotations/trimaps/._beagle_3.png").write_bytes(b"left by a file manager")
    (folder / "images/beagle_5.mat").write_bytes(b"of no use")
    shutil.copy(folder / "images/beagle_1.jpg", folder / "images/no_trimap_1.jpg")
    return folder


@pytest.fixture
def data(tmp_path, folder):
    config = get_config().data
    config.name = "oxford_pets"
    config.source_dir = str(folder)
    config.dir = str(tmp_path / "data")
    return config


def names(data, split):
    return [record.name for record in open_source(data, split).records]


def test_records_hold_what_the_files_say(data, folder, capfd):
    source = open_source(data, "all")
    assert capfd.readouterr().out == ""  # nothing is downloaded, and the output may be for programs
    assert source.class_names == ("pet", "background", "border")
    chex.assert_shape(source.palette, (3, 3))
    records = {record.name: record for record in source.records}
    assert sorted(records) == sorted(TRAINVAL + TEST + UNLISTED)
    for name, record in records.items():
        image, trimap = write_pet(folder, name)
        np.testing.assert_array_equal(record.label, trimap - 1)
        np.testing.assert_allclose(record.image, image, atol=4)  # JPEG, and for one GIF before it
        assert record.tags["breed"] == name.rsplit("_", 1)[0]
        assert record.tags["species"] == ("cat" if name.startswith(("Aby", "Ben")) else "dog")
        expected = "trainval" if name in TRAINVAL else "test" if name in TEST else "none"
        assert record.tags["list"] == expected
    np.testing.assert_array_equal(records["beagle_3"].tags["head_box"], [3, 2, 9, 8])
    assert records["beagle_4"].tags["head_box"] is None


def test_files_that_are_no_proper_jpeg_are_encoded_anew(folder):
    """By what they hold, and two of them by name: in those, decoders find stray bytes."""
    shutil.copy(folder / "images/beagle_1.jpg", folder / "images/beagle_116.jpg")
    shutil.copy(folder / "annotations/trimaps/beagle_1.png", folder / "annotations/trimaps/beagle_116.png")
    Image.new("RGBA", (20, 16), (200, 100, 50, 255)).save(folder / "images/beagle_2.jpg", "PNG")
    Image.new("L", (20, 16), 90).save(folder / "images/beagle_3.jpg", "BMP")
    for name in ("Abyssinian_34", "beagle_116", "beagle_2", "beagle_3"):
        encoded = oxford_pets_files.read_pet(folder, name)["image"].getvalue()
        assert encoded != (folder / "images" / f"{name}.jpg").read_bytes()
        image = Image.open(io.BytesIO(encoded))
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (20, 16))
    untouched = oxford_pets_files.read_pet(folder, "beagle_1")["image"].getvalue()
    assert untouched == (folder / "images/beagle_1.jpg").read_bytes()


def test_an_exif_rotation_does_not_part_image_and_label(data, folder):
    path = folder / "images/beagle_1.jpg"
    image = Image.open(path)
    exif = image.getexif()
    exif[0x0112] = 6  # a quarter turn
    image.save(path, exif=exif)
    record = open_source(data, "trainval").records[0]
    assert record.name == "beagle_1"
    assert record.image.shape[:2] == record.label.shape


def test_official_splits(data):
    assert sorted(names(data, "trainval")) == sorted(TRAINVAL)
    assert sorted(names(data, "test")) == sorted(TEST)
    train, val = names(data, "train"), names(data, "val")
    assert len(val) == 1
    assert sorted(train + val) == sorted(TRAINVAL)


@pytest.mark.parametrize("lists", [["list"], []])
def test_without_official_lists(data, folder, lists):
    for which in {"trainval", "test", "list"} - set(lists):
        (folder / "annotations" / f"{which}.txt").unlink()
    for split, missing in (("trainval", "trainval"), ("val", "trainval"), ("test", "test")):
        with pytest.raises(ValueError, match=rf"annotations/{missing}\.txt is missing.*split_seed=1337"):
            open_source(data, split)
    assert len(names(data, "all")) == 14
    data.split_seed = 1337
    train, val = names(data, "train"), names(data, "val")
    assert len(val) == 2
    assert sorted(train + val) == sorted(TRAINVAL + TEST + UNLISTED)
    assert {record.tags["list"] for record in open_source(data, "all").records} == {"none"}


def test_seed_1337_is_the_well_known_division():
    all_names = [f"pet_{number}" for number in range(7390)]
    chosen = oxford_pets._select(all_names, {}, 1337, "val")
    expected = sorted(all_names)
    random.Random(1337).shuffle(expected)
    assert chosen == expected[-1000:]
    assert oxford_pets._select(all_names, {}, 1337, "train") == expected[:-1000]
    assert len(oxford_pets._select(all_names[:600], {}, 1337, "val")) == 81
    assert len(oxford_pets._select(all_names[:2], {}, 1337, "val")) == 1


def test_a_split_without_images(data, folder):
    write_list(folder, "test", ["pug_1"])
    with pytest.raises(ValueError, match=r"none of the 14 images .* 'test'"):
        open_source(data, "test")


@pytest.mark.parametrize(("seed", "split"), [(None, "dev"), (1337, "test")])
def test_unknown_splits(data, seed, split):
    data.split_seed = seed
    with pytest.raises(ValueError, match="expected one of"):
        open_source(data, split)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = {
    "missing": (
        lambda folder: (folder / "images/beagle_2.jpg").unlink(),
        r"images/beagle_2\.jpg is missing; expected an image",
    ),
    "truncated": (
        lambda folder: truncate(folder / "images/beagle_2.jpg"),
        r"images/beagle_2\.jpg cannot be decoded.*expected a whole image",
    ),
    "truncated trimap": (
        lambda folder: truncate(folder / "annotations/trimaps/beagle_2.png"),
        r"trimaps/beagle_2\.png cannot be decoded",
    ),
    "another size": (
        lambda folder: Image.new("L", (20, 15), 1).save(folder / "annotations/trimaps/beagle_2.png"),
        r"trimaps/beagle_2\.png is 20x15, its image .*beagle_2\.jpg 20x16; expected the same size",
    ),
    "another value": (
        lambda folder: Image.new("L", (20, 16), 4).save(folder / "annotations/trimaps/beagle_2.png"),
        r"trimaps/beagle_2\.png has the value 4; expected \(1, 2, 3\)",
    ),
    "colors": (
        lambda folder: Image.new("RGB", (20, 16)).save(folder / "annotations/trimaps/beagle_2.png"),
        r"trimaps/beagle_2\.png has the mode RGB; expected one channel",
    ),
    "no head": (
        lambda folder: (folder / "annotations/xmls/beagle_2.xml").write_text("<annotation/>"),
        r"xmls/beagle_2\.xml has no head box",
    ),
    "no trimaps": (
        lambda folder: shutil.rmtree(folder / "annotations/trimaps"),
        "has no trimaps; expected the official",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_bad_files_are_named_and_nothing_is_left_behind(data, folder, damage):
    inflict, message = DAMAGES[damage]
    inflict(folder)
    with pytest.raises(ValueError, match=message):
        open_source(data, "trainval")
    left = Path(data.dir) / "oxford_pets"
    assert not left.exists() or list(left.iterdir()) == []


def test_prepared_once_and_anew_when_a_file_changes(data, folder, monkeypatch):
    open_source(data, "trainval")
    with monkeypatch.context() as patch:
        patch.setattr(oxford_pets_files, "prepare", None)
        before = open_source(data, "trainval")
    write_pet(folder, "beagle_2", size=(30, 10))
    after = open_source(data, "trainval")
    assert before.fingerprint != after.fingerprint
    shapes = {record.name: record.label.shape for record in after.records}
    assert shapes["beagle_2"] == (10, 30)


@pytest.mark.parametrize("lost", ["*.array_record-*", "index.json", "features.json"])
def test_prepared_files_that_are_lost_are_named_and_prepared_anew_once_the_rest_is_gone(data, lost):
    before = [record.label for record in open_source(data, "test").records]
    (path,) = Path(data.dir).glob(f"oxford_pets/*/{lost}")
    path.unlink()
    with pytest.raises(
        ValueError, match=f"prepared records in {path.parent} are missing or damaged.*delete this folder"
    ):
        open_source(data, "test").records[0]
    shutil.rmtree(path.parent)
    chex.assert_trees_all_equal([record.label for record in open_source(data, "test").records], before)


def test_prepared_records_that_were_cut_short_are_named(data):
    open_source(data, "test")
    (path,) = Path(data.dir).glob("oxford_pets/*/*.array_record-*")
    for length in (path.stat().st_size // 2, 0):
        os.truncate(path, length)
        with pytest.raises(ValueError, match=f"prepared records in {path.parent} are missing or damaged"):
            open_source(data, "test").records[0]


def test_two_who_prepare_at_once_leave_one_whole_result(folder, tmp_path):
    target = tmp_path / "data" / "target"
    oxford_pets_files.prepare(folder, target)
    content = {path.name: path.read_bytes() for path in target.iterdir()}
    oxford_pets_files.prepare(folder, target)  # as one who began before the first had finished
    assert {path.name: path.read_bytes() for path in target.iterdir()} == content
    assert list(target.parent.iterdir()) == [target]
    assert len(json.loads((target / "index.json").read_text())["names"]) == 14


def test_records_travel_to_another_process(data):
    records = open_source(data, "test").records
    first = records[0]
    again = pickle.loads(pickle.dumps(records))
    assert len(again) == 3
    np.testing.assert_array_equal(again[0].image, first.image)
    assert len(pickle.dumps(records)) < 1000


def test_a_folder_that_is_not_there(data):
    data.source_dir += "_no"
    with pytest.raises(ValueError, match=r"config\.data\.source_dir is .*pets_no, which is not a folder"):
        open_source(data, "train")


def archives_of(folder, serve, path="/"):
    """The folder as the two official archives on a server, described as they are."""
    bodies = {}
    for name in ("annotations", "images"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.add(folder / name, name)
        bodies[f"/{name}.tar.gz"] = buffer.getvalue()
    base = serve(bodies) + path.rstrip("/")
    return [Archive(base + name, len(body), hashlib.sha256(body).hexdigest()) for name, body in bodies.items()]


def test_the_official_archives(data, folder, serve, monkeypatch):
    archives = archives_of(folder, serve)
    monkeypatch.setattr(oxford_pets_files, "official_archives", lambda: archives)
    data.source_dir = ""
    assert sorted(names(data, "test")) == sorted(TEST)
    assert sorted(path.name for path in (Path(data.dir) / "oxford_pets").iterdir()) == ["downloads", "official-1.0.0"]
    monkeypatch.setattr(oxford_pets_files, "official_archives", None)  # from now on, nothing is fetched
    assert sorted(names(data, "trainval")) == sorted(TRAINVAL)


@pytest.mark.parametrize(
    ("path", "change", "message"),
    [
        ("/torn", {}, r"came with \d+ bytes; expected"),
        ("/", {"sha256": "0" * 64}, "came with the SHA-256"),
        ("/nowhere", {}, "404"),
    ],
)
def test_broken_official_archives(data, folder, serve, monkeypatch, path, change, message):
    archives = archives_of(folder, serve, path)
    archives[1] = archives[1]._replace(**change)
    monkeypatch.setattr(oxford_pets_files, "official_archives", lambda: archives)
    data.source_dir = ""
    with pytest.raises(ValueError, match=message):
        open_source(data, "train")
    left = [path for path in Path(data.dir).rglob("*") if path.is_file()]
    assert [path.name for path in left] == (["annotations.tar.gz"] if change else [])


def test_neither_network_nor_folder(data, monkeypatch):
    nowhere = [Archive("http://127.0.0.1:9/images.tar.gz", 1, "")]
    monkeypatch.setattr(oxford_pets_files, "official_archives", lambda: nowhere)
    data.source_dir = ""
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"network.*config\.data\.source_dir.*configs/unet_shapes\.py"):
        open_source(data, "train")
    assert time.monotonic() - start < 5


def test_the_official_archives_are_those_that_tfds_knows():
    archives = {archive.url.rsplit("/", 1)[-1]: archive for archive in oxford_pets_files.official_archives()}
    assert set(archives) == {"annotations.tar.gz", "images.tar.gz"}
    assert archives["images.tar.gz"].size == 791918971
    assert archives["annotations.tar.gz"].sha256.startswith("52425fb6de5c42")


ALONE = """
import socket, sys
from configs.base import get_config
from jaxseg.data.sources import open_source

def refuse(*arguments):
    raise AssertionError("a connection was opened")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
data = get_config().data
data.name, data.source_dir, data.dir = "oxford_pets", sys.argv[1], sys.argv[2]
assert open_source(data, "test").records[2].image.shape == (16, 20, 3)
print([name for name in ("tensorflow", "jax", "torch") if name in sys.modules])
"""


def test_preparing_and_reading_need_no_tensorflow_and_no_network(data, folder):
    arguments = [sys.executable, "-c", ALONE, data.source_dir, data.dir]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_real_pets(data, shared_data):
    data.source_dir = str(shared_data / "oxford_iiit_pet")
    everything = open_source(data, "all")
    assert [len(open_source(data, split).records) for split in ("trainval", "test", "train", "val")] == [
        300,
        298,
        270,
        30,
    ]
    assert len(everything.records) == 600
    for record in list(everything.records)[::10]:
        assert record.image.shape[:2] == record.label.shape
        assert set(np.unique(record.label)) <= {0, 1, 2}
        head = record.tags["head_box"]
        assert head is None or (head[:2] < head[2:]).all()
    data.split_seed = 1337
    assert [len(open_source(data, split).records) for split in ("train", "val")] == [519, 81]
    data.update(split_seed=None, instances="breed", heads=True)
    pets = open_source(data, "all")
    assert pets.class_names == ("background", "Abyssinian", "Bengal", "american_bulldog", "head")
    for index in range(0, 600, 50):
        objects = pets.records[index].objects
        assert objects.masks.shape[1:] == tuple(pets.catalogue.sizes[index])
        assert set(objects.classes) <= {1, 2, 3, 4}
        assert objects.masks.any(axis=(1, 2)).all()

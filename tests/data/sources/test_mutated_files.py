"""Whatever is wrong in a data set, opening it gives records, or one line that names a file."""

import json
import random
import re
import shutil

import object_folders
import pytest

from jaxseg.config import detector, semantic
from jaxseg.data.sources import open_source

WRITERS = object_folders.WRITERS | {
    "instance masks": object_folders.write_instance_masks,
    "class masks": object_folders.write_class_masks,
}
VALUES = (None, -1, 0, 1e18, "x", "", [], {}, [1, 2, 3], True, float("nan"), [[0, 0]], "7")
TOKENS = ("", "nan", "inf", "-1", "99999999999", "x", "0", "1e400", "\x00", "é")
NAMES = ("a b.jpg", "x.png", "ü.jpg", "a.JPG")


def read_all(folder, kind, **fields):
    """The number of records of all splits; every one is read."""
    data = (semantic if kind == "class masks" or fields.get("as_semantic") else detector)().data
    data.update(name="auto", source_dir=str(folder), dir=str(folder.parent / "prepared"), **fields)
    return sum(1 for split in ("train", "val") for _ in open_source(data, split).records)


def change_json(rng, node):
    """Removes, repeats or replaces one value anywhere in a JSON content."""
    keys = list(node) if isinstance(node, dict) else range(len(node))
    if not keys:
        return
    key = rng.choice(keys)
    if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.7:
        change_json(rng, node[key])
    elif rng.random() < 0.3:
        del node[key]
    elif isinstance(node, list) and rng.random() < 0.3:
        node.append(node[key])
    else:
        node[key] = rng.choice(VALUES)


def change_token(rng, path):
    """Replaces one number or word of a text file."""
    text = path.read_bytes().decode("latin-1")
    tokens = list(re.finditer(r"[-\w.]+", text))
    if tokens:
        start, end = rng.choice(tokens).span()
        path.write_text(text[:start] + rng.choice(TOKENS) + text[end:], encoding="utf-8")


def change(rng, folder):
    """Changes one file of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    texts = [path for path in files if path.suffix in (".json", ".txt", ".xml", ".yaml")]
    path = rng.choice(texts if texts and rng.random() < 0.7 else files)
    content, way = path.read_bytes(), rng.random()
    if path in texts and way < 0.75:
        try:
            parsed = json.loads(content)
            change_json(rng, parsed)
            path.write_text(json.dumps(parsed))
        except (ValueError, TypeError):
            change_token(rng, path)
    elif way < 0.85:
        path.write_bytes(content[: rng.randrange(len(content) + 1)])
    elif way < 0.9:
        path.unlink()
    elif way < 0.95 and content:
        place = rng.randrange(len(content))
        path.write_bytes(content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :])
    else:
        path.rename(path.with_name(rng.choice(NAMES)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITERS)
def test_a_changed_file_is_read_or_named(tmp_path, kind):
    """Of 60 data sets with one to three changes, each is read or ends in one line; some are read, some are not."""
    drawn = object_folders.draw_images(5)
    (tmp_path / "whole").mkdir()
    WRITERS[kind](tmp_path / "whole", drawn)
    read, refused = 0, []
    for seed in range(60):
        rng = random.Random(seed)
        folder = tmp_path / "changed/files"
        shutil.copytree(tmp_path / "whole", folder)
        for _ in range(rng.choice([1, 1, 2, 3])):
            change(rng, folder)
        fields = {"bad_files": rng.choice(["error", "skip"]), "missing": rng.choice(["error", "skip"])}
        try:
            read += read_all(folder, kind, as_semantic=rng.random() < 0.4, **fields) > 0
        except ValueError as error:
            refused.append(str(error))
        shutil.rmtree(folder.parent)
    assert read
    assert refused
    assert not [text for text in refused if "\n" in text or not re.search(r"/files|image", text)]


def one_yolo_line(folder, line):
    """Writes a data set of YOLO whose second image has one object, and returns the file of that object."""
    drawn = object_folders.write("yolo", folder, 4)
    path = folder / f"labels/train/{drawn[1][0]}.txt"
    path.write_text(line)
    return path


@pytest.mark.parametrize("number", ["nan", "inf", "1e400", "-1e18"])
def test_a_corner_that_is_no_place_leaves_its_polygon_out(tmp_path, number):
    """Pycocotools would end the process, or take all memory."""
    one_yolo_line(tmp_path / "files", f"0 0.1 0.1 0.5 {number} 0.5 0.5")
    data = detector().data
    data.update(name="auto", source_dir=str(tmp_path / "files"), dir=str(tmp_path / "prepared"))
    source = open_source(data, "train")
    assert sum(len(record.objects.classes) == 0 for record in source.records) == 1
    assert "1 annotations are left out: a polygon of them is far outside the image" in " ".join(
        map(str, source.findings.notices)
    )


def test_a_class_number_that_is_a_mistake_is_named(tmp_path):
    path = one_yolo_line(tmp_path / "files", "99999999999 0.1 0.1 0.5 0.1 0.5 0.5")
    (tmp_path / "files/data.yaml").write_text("train: images/train\nval: images/val\n")
    with pytest.raises(ValueError, match=rf"{path} has the class 99999999999; expected less than 10000"):
        read_all(tmp_path / "files", "yolo")


@pytest.mark.parametrize(
    ("points", "kind"), [([[20, 20], [1e18, 20]], "circle"), ([[20], [30]], "circle"), (7, "mask")]
)
def test_a_shape_of_labelme_that_is_no_shape_is_left_out(tmp_path, points, kind):
    drawn = object_folders.write("labelme", tmp_path / "files", 4)
    path = tmp_path / f"files/{drawn[0][0]}.json"
    content = json.loads(path.read_text())
    content["shapes"].append({"label": "disc", "shape_type": kind, "points": points, "group_id": [1]})
    path.write_text(json.dumps(content))
    data = detector().data
    data.update(name="auto", source_dir=str(tmp_path / "files"), dir=str(tmp_path / "prepared"))
    source = open_source(data, "all")
    assert {record.name: len(record.objects.classes) for record in source.records} == {
        name: len(objects) for name, _, objects in drawn
    }
    assert "1 shapes are left out: their numbers cannot be read" in " ".join(map(str, source.findings.notices))


def test_a_brush_mask_of_cvat_that_is_larger_than_its_image_is_left_out(tmp_path):
    drawn = object_folders.write("cvat", tmp_path / "files", 4)
    path = tmp_path / "files/annotations.xml"
    path.write_text(re.sub(r'rle="\d+', 'rle="99999999999', path.read_text(), count=1))
    data = detector().data
    data.update(name="auto", source_dir=str(tmp_path / "files"), dir=str(tmp_path / "prepared"))
    source = open_source(data, "all")
    assert sum(len(record.objects.classes) for record in source.records) == sum(len(one[2]) for one in drawn) - 1
    assert "1 shapes are left out: their numbers cannot be read" in " ".join(map(str, source.findings.notices))

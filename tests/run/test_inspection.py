"""``jaxseg inspect``: what a folder holds, as a page and as numbers."""

import json

import cv2
import numpy as np
import object_folders
import pytest
from experiments import tiny_config, tiny_detector
from tiny_datasets import write_folder

from jaxseg.commands import run
from jaxseg.data.instances import batches as instance_batches
from jaxseg.data.semantic import batches as semantic_batches
from jaxseg.data.sources import open_source
from jaxseg.run.experiment import resolve
from jaxseg.run.inspection import DRAW, draw_augmented, draw_objects, inspect_config
from jaxseg.types import Objects, Source

NAMES = [f"photo {number}" for number in range(10)]


def test_a_page_and_numbers_of_generated_shapes(tmp_path):
    config = tiny_config(data__select__first=20)
    found = inspect_config(config, tmp_path / "inspection")
    page = found.page.read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 24
    for outside in ("http://", "https://", "<script", "@import", "url("):
        assert outside not in page
    data = json.loads((tmp_path / "inspection/data.json").read_text(encoding="utf-8"))
    assert data["train"]["images"] == data["val"]["images"] == 20
    assert data["train"]["class_names"] == ["background", "disc", "square", "triangle"]
    labels = [record.label for record in open_source(config.data, "train").records]
    shares = np.bincount(np.concatenate(labels, axis=None), minlength=4) / (20 * 160 * 160)
    np.testing.assert_allclose(data["train"]["shares"], shares, atol=1e-6)
    assert found.lines[0].startswith("train: 20 images of 160x160 pixels; pixels: background")


@pytest.mark.parametrize(("config", "module"), [(tiny_config(), semantic_batches), (tiny_detector(), instance_batches)])
def test_augmented_examples_are_those_of_the_first_steps(config, module):
    config.data.augment.flip = True
    source = open_source(config.data, "train")
    shown = draw_augmented(config, {"train": source})
    assert len(shown) == 12
    size = config.train.batch_size
    data = resolve(config, source).data
    with module.train_batches(source, data, batch_size=size, seed=config.seed, start_step=0) as batches:
        first, second = next(batches), next(batches)
    np.testing.assert_array_equal(shown[1].image, DRAW[config.task](first, 1, source))
    np.testing.assert_array_equal(shown[size + 1].image, DRAW[config.task](second, 1, source))
    assert shown[size + 1].title == "step 2, example 2"


def test_a_folder_is_inspected_without_a_config_and_strict_returns_1_on_a_problem(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "own", NAMES, values=(0, 1))
    arguments = ["inspect", str(tmp_path / "own"), "--output", "out"]
    assert run([*arguments, "--strict"]) == 0
    page = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert "No problem was found." in page
    assert page.count('class="problem fine"') == page.count('class="problem') > 0
    said = capsys.readouterr().out
    assert said.startswith("train: 8 images")
    assert "train: note: 8 images are read as images and masks" in said
    assert "no problem found" in said
    # The same photograph in all places: the validation images are in the training split, too.
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8), (40, 32))
    for path in (tmp_path / "own/images").iterdir():
        cv2.imwrite(str(path), image)
    assert run([*arguments, "--strict"]) == 1
    assert "images of val look like an image of train" in capsys.readouterr().out
    assert run(arguments) == 0
    page = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert "Kinds of problems: 1." in page
    assert page.count('class="problem"') == 1


def test_what_was_read_is_in_the_workdir(trained):
    data = json.loads((trained[0] / "data.json").read_text(encoding="utf-8"))
    assert data["train"]["images"] == 2000
    assert data["val"]["largest"] == [160, 160]


@pytest.mark.parametrize(("kind", "objects"), [("yolo", True), ("instance masks", True), ("class masks", False)])
def test_a_folder_of_objects_is_inspected_as_objects(tmp_path, capsys, kind, objects):
    write = {
        "yolo": object_folders.write_yolo,
        "instance masks": object_folders.write_instance_masks,
        "class masks": object_folders.write_class_masks,
    }
    write[kind](tmp_path / "own", object_folders.draw_images(8))
    assert run(["inspect", str(tmp_path / "own"), "--output", str(tmp_path / "out")]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert ("objects: " in first) == objects


def test_objects_have_the_colors_of_their_classes():
    """A square of class 2 in a black image: 45 % of its color inside, and the whole color on its outline."""
    palette = np.array([[0, 0, 0], [230, 159, 0], [100, 200, 40]], np.uint8)
    mask = np.zeros((1, 40, 40), np.uint8)
    mask[0, 10:30, 10:30] = 1
    objects = Objects(np.array([[10, 10, 30, 30]], np.float32), np.array([2]), mask, np.zeros(1, bool))
    source = Source([], ("background", "cat", "dog"), palette)
    shown = draw_objects(np.zeros((40, 40, 3), np.uint8), objects, source)
    assert shown[25, 25].tolist() == [45, 90, 18]
    assert shown[29, 20].tolist() == [100, 200, 40]


def test_fields_and_flags_go_with_a_folder(tmp_path, capsys):
    """One of ten images is empty: the remedy that the error names works, before the folder and after it."""
    folder, output = tmp_path / "own", ["--output", str(tmp_path / "out")]
    write_folder(folder, NAMES, values=(0, 1))
    bad = folder / f"images/{NAMES[3]}.jpg"
    bad.write_bytes(b"")
    assert run(["inspect", str(folder), *output]) == 2
    error = capsys.readouterr().err
    assert error.count(f"{bad} cannot be read") == 1
    assert error.endswith("set config.data.bad_files=skip to leave it out\n")
    for arguments in ([str(folder), "--config.data.bad_files=skip"], ["--config.data.bad_files", "skip", str(folder)]):
        assert run(["inspect", "--strict", *output, *arguments]) == 1
        assert "1 files cannot be read and are left out" in capsys.readouterr().out
    assert run(["inspect", str(folder), *output, "--config.data.as_semantic=True", "--config.data.bad_files=skip"]) == 0


@pytest.mark.parametrize("name", ["data/nope", "nope"])
def test_a_folder_that_does_not_exist_is_named(capsys, name):
    assert run(["inspect", "--strict", name]) == 2
    error = capsys.readouterr().err
    assert f"the folder {name} does not exist; expected a folder of data" in error
    assert "unet_pets" not in error
    assert run(["inspect", "unet_pet"]) == 2
    assert "Did you mean unet_pets" in capsys.readouterr().err

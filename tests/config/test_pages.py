"""Pages by name and by path, shipped and of one's own."""

import json
import pickle

import pytest

from jaxseg import config as defaults
from jaxseg.config import pages
from jaxseg.config.changes import field_names, set_text

OWN = """
from configs import base
from jaxseg.configs import unet_shapes
from steps_of_mine import STEPS

def get_config():
    assert "max_objects" in base.get_config().data
    config = unet_shapes.get_config()
    config.train.steps = STEPS
    config.data.image_size = 96
    return config
"""


def test_a_page_loads_by_name_and_by_path_from_any_folder(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    by_name = pages.load("unet_shapes")
    assert by_name.data.name == "shapes"
    assert pages.load(str(root / "configs" / "unet_shapes.py")).to_json() == by_name.to_json()
    assert pages.page_name("configs/unet_shapes.py") == pages.page_name("unet_shapes") == "unet_shapes"


def test_a_page_of_ones_own_imports_shipped_pages_and_its_neighbors(tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.py").write_text(OWN)
    (tmp_path / "own" / "steps_of_mine.py").write_text("STEPS = 7")
    monkeypatch.chdir(tmp_path)
    config = pages.load("own/mine.py")
    assert (config.train.steps, config.data.image_size) == (7, 96)


def test_the_rate_of_a_page_follows_the_width_of_its_model_until_it_is_set():
    config = pages.load("unet_pets_strong")
    for width, rate in ((64, 7.5e-4), (32, 1.5e-3), (16, 3e-3)):
        set_text(config, "model.features", str(width))
        assert config.optimizer.learning_rate == pytest.approx(rate)
    copied = pickle.loads(pickle.dumps(config))  # as for worker processes
    copied.model.features = 48
    assert (copied.optimizer.learning_rate, config.optimizer.learning_rate) == (1e-3, 3e-3)
    assert json.loads(config.to_json())["optimizer"]["learning_rate"] == 3e-3
    set_text(config, "optimizer.learning_rate", "0.01")
    set_text(config, "model.features", "64")
    assert config.optimizer.learning_rate == 0.01


def test_the_rate_of_the_detector_of_pets_follows_the_width_of_its_backbone():
    config = pages.load("mask_rcnn_pets")
    assert config.optimizer.learning_rate == pytest.approx(2.5e-4)
    set_text(config, "model.width", "16")
    assert config.optimizer.learning_rate == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("configs/unet_pet.py", "config configs/unet_pet.py does not exist.*Did you mean unet_pets"),
        ("zzz", "Shipped configs: .*unet_shapes"),
        ("base", "config base does not exist"),
    ],
)
def test_a_page_that_does_not_exist_is_named_with_candidates(name, message):
    with pytest.raises(ValueError, match=message):
        pages.load(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "has no function get_config"),
        ("def get_config():\n    return {}", "returns dict; expected a ConfigDict"),
    ],
)
def test_a_file_that_is_no_page_is_named(tmp_path, text, message):
    (tmp_path / "page.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        pages.load(str(tmp_path / "page.py"))


@pytest.mark.parametrize("name", pages.page_names())
def test_a_shipped_page_has_the_fields_of_its_task_only(name):
    config = pages.load(name)
    expected = defaults.semantic() if config.task == "semantic" else defaults.detector()
    assert {field for field in field_names(config) if not field.startswith("model.")} == {
        field for field in field_names(expected) if not field.startswith("model.")
    }


def test_the_defaults_of_a_task_have_no_fields_of_the_other():
    semantic, detector = set(field_names(defaults.semantic())), set(field_names(defaults.detector()))
    assert {"data.min_size", "data.max_objects", "data.augment.copy_paste"} & semantic == set()
    assert {"loss.dice", "data.image_size", "data.augment.elastic", "data.border_weight"} & detector == set()


def test_base_still_has_every_field():
    from configs import base

    fields = set(field_names(base.get_config()))
    assert fields == set(field_names(defaults.semantic())) | set(field_names(defaults.detector()))
    assert base.get_config().data.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("name", pages.page_names())
def test_the_description_of_a_page_has_its_fixed_form(name):
    text = pages.description(name)
    first, *rest = text.splitlines()
    assert first.endswith(".")
    sections = [line.split(":")[0] for line in rest if line and not line.startswith(" ")]
    assert sections == ["Data", "Recipe", "Run", "Result"]
    assert f"\nRun: jaxseg train {name}" in text


def test_data_sets_are_scored_in_the_pixels_of_their_images_and_the_pets_as_their_example_has_it():
    scored = {name: pages.load(name).data.get("score_at") for name in pages.page_names()}
    cityscapes, voc = ("fcn8s_cityscapes", "fcn8s_cityscapes_native"), ("fcn8s_voc", "fcn8s_voc_native")
    own = {*cityscapes, *voc, "fcn_resnet50_voc", "unet_camvid", "unet_folder"}
    assert {name for name, at in scored.items() if at == "original"} == own
    assert scored["fcn_resnet50_coco_voc"] == "network", "torchvision's reference evaluation shrinks labels"

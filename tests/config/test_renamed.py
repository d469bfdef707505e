"""Old names of fields: accepted in saved configs, and an error that names the new one on the command line."""

import pytest

from jaxseg import config as defaults
from jaxseg.config.changes import set_text
from jaxseg.config.renamed import upgrade


def test_saved_configs_get_the_present_names():
    saved = {"data": {"name": "coco", "splits": "official", "val_share": 0.1}, "seed": 3}
    assert upgrade(saved) == {"data": {"name": "coco", "split_seed": None, "val_fraction": 0.1}, "seed": 3}
    assert upgrade({"data": {"splits": "seed_1337"}}) == {"data": {"split_seed": 1337}}
    assert upgrade({"data": {"split_seed": 7}}) == {"data": {"split_seed": 7}}
    assert upgrade({"data": {"image_size": [8, 9], "train_size": [6]}}) == {
        "data": {"image_size": [8, 9], "crop_size": [6]}
    }
    assert upgrade({"data": {"image_size": [8, 9], "train_size": []}}, "instances") == {"data": {"crop_size": [8, 9]}}
    assert saved["data"]["splits"] == "official"  # the saved one is not changed


def test_the_command_line_names_the_new_field():
    config = defaults.semantic()
    with pytest.raises(ValueError, match=r"data\.splits is called data\.split_seed now.*--config\.data\.split_seed=13"):
        set_text(config, "data.splits", "seed_1337")
    with pytest.raises(ValueError, match=r"data\.image_size is called data\.crop_size now"):
        set_text(defaults.detector(), "data.image_size", "64")
    set_text(config, "data.image_size", "64")
    set_text(config, "data.split_seed", "7")
    assert config.data.split_seed == 7

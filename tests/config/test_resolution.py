"""What follows from other fields: sizes, mean and std, steps, warm-up, home folders."""

import json

import pytest

from jaxseg import config as defaults
from jaxseg.config import pages
from jaxseg.config.resolution import IMAGENET, fill_normalization, notes, resolve_fields


def resolved(config, examples=None):
    config = config.copy_and_resolve_references()
    resolve_fields(config, examples)
    return config


def a_config(**fields):
    config = defaults.semantic()
    config.train.steps = 100
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in fields.items()})
    return config


@pytest.mark.parametrize("size", [96, (96,), (96, 96)])
def test_one_number_is_a_square(size):
    config = a_config()
    config.data.image_size = size
    found = resolved(config).data
    assert (found.image_size, found.crop_size) == ((96, 96), (96, 96))


def test_crops_have_their_own_size():
    assert resolved(a_config(data__crop_size=(48, 64))).data.crop_size == (48, 64)
    with pytest.raises(ValueError, match="data.image_size is .*expected .height, width. or one number"):
        resolved(a_config(data__image_size=(1, 2, 3)))


@pytest.mark.parametrize(
    ("data", "weights", "expected"),
    [
        ("folder", "", IMAGENET),
        ("shapes", "", ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))),
        ("isbi", "", ((0.5, 0.5, 0.5), (0.17, 0.17, 0.17))),
        ("shapes", "VGG16_Weights.IMAGENET1K_V1", IMAGENET),
    ],
)
def test_mean_and_std_come_with_weights_or_data(data, weights, expected):
    found = resolved(a_config(data__name=data, init__weights=weights)).data
    assert (found.mean, found.std) == expected


def test_weights_of_a_run_bring_its_normalization(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"data": {"mean": [0, 0, 0], "std": [1, 1, 1]}}))
    config = a_config(init__weights=str(tmp_path))
    fill_normalization(config)
    assert (config.data.mean, config.data.std) == ((0, 0, 0), (1, 1, 1))


def test_a_given_mean_stays():
    found = resolved(a_config(data__mean=(0.0, 0.0, 0.0), data__std=(1.0, 1.0, 1.0))).data
    assert (found.mean, found.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_epochs_become_steps():
    config = a_config(train__epochs=2.5, train__batch_size=4)
    config.train.steps = None
    assert resolved(config, 10).train.steps == 7  # 2.5 * 10 / 4 = 6.25
    with pytest.raises(ValueError, match="train.steps is None"):
        resolved(config, None)


def test_a_warmup_that_is_longer_than_the_run_is_shortened():
    config = a_config(optimizer__warmup_steps=50, train__steps=20)
    after = resolved(config)
    assert after.optimizer.warmup_steps == 2
    (said,) = notes(config, after)
    assert said == "optimizer.warmup_steps is 50, but the run has 20 steps: warm-up takes 2 steps"
    config.train.steps = 51
    assert resolved(config).optimizer.warmup_steps == 50
    assert notes(config, resolved(config)) == []


def test_the_home_folder_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    found = resolved(a_config(data__dir="~/data", data__source_dir="~/files", init__weights="~/weights.pth"))
    assert found.data.dir == "/somewhere/data"
    assert found.data.source_dir == "/somewhere/files"
    assert found.init.weights == "/somewhere/weights.pth"


def test_the_detector_for_a_folder_trains_on_twelve_images():
    config = pages.load("mask_rcnn_folder")
    after = resolved(config, 12)
    assert (after.train.steps, after.optimizer.warmup_steps) == (30, 3)  # 20 epochs of 12 images, 8 per step
    small = resolved(pages.load("mask_rcnn_folder_small"), 12)
    assert (small.data.mean, small.data.std) == IMAGENET
    assert small.model.anchor_sizes[-1] == (192,)


@pytest.mark.parametrize(
    ("examples", "fields", "expected"),
    [
        (48, {"train__steps": 1500, "train__batch_size": 4}, 60),  # 12 steps per epoch
        (12, {"train__steps": 1500, "train__batch_size": 4}, 37),  # 15 steps would be 100 evaluations
        (10_000, {"train__steps": 100_000}, 500),
        (48, {"train__evaluate_every": 0}, 0),
        (None, {}, 500),
    ],
)
def test_few_images_are_evaluated_every_few_epochs(examples, fields, expected):
    config = a_config(train__evaluate_epochs=5.0, **fields)
    assert resolved(config, examples).train.evaluate_every == expected


@pytest.mark.parametrize("name", ["unet_folder", "mask_rcnn_folder", "mask_rcnn_folder_small"])
def test_sixty_photographs_of_ones_own_are_evaluated_every_five_epochs(name):
    config = pages.load(name)
    train = resolved(config, 48).train
    assert 4 <= train.steps // train.evaluate_every <= 40
    assert train.evaluate_every * train.batch_size / 48 <= 5.5  # epochs

"""The table of augmentations: what each does, what the config may say, and that disabled ones change nothing."""

import chex
import numpy as np
import pytest

from configs.base import get_config
from jaxseg.data.augment import AUGMENTATIONS, Pipeline, read_pipeline, serves
from jaxseg.types import IGNORE, Example, InstanceExample, Objects


@pytest.fixture
def data():
    config = get_config().data
    config.update(image_size=(40, 56), min_size=48, max_size=96)
    return config


def pipeline(data, task="semantic", **fields):
    data.augment.update(fields)
    return read_pipeline(data, task)


def blobs(rng):
    """An example of squares, 40x56, whose image tells its label: red is 200 in class 1 and 0 in class 0."""
    label = np.kron(rng.integers(0, 2, (5, 7)), np.ones((8, 8), int)).astype(np.uint8)
    return Example(np.stack([200 * label, 255 - 200 * label, 30 * label], axis=-1), label)


def assert_moved_together(example):
    """Wherever the image is not blended between classes, it tells the label; that holds for most pixels."""
    red = example.image[..., 0]
    pure = np.isin(red, (0, 200)) & (example.label != IGNORE)
    np.testing.assert_array_equal(red[pure] // 200, example.label[pure])
    assert pure.sum() > 0.5 * (example.label != IGNORE).sum()


def test_image_and_label_move_together(data):
    data.image_size = (64, 48)
    chosen = pipeline(data, crop_scale=(0.4, 1.5), crop_ratio=(0.7, 1.4), rotation=30.0, flip=True, elastic=2.0)
    for seed in range(50):
        rng = np.random.default_rng(seed)
        example = chosen.augment(rng, blobs(rng))
        chex.assert_shape(example[:2], [(64, 48, 3), (64, 48)])
        assert_moved_together(example)
        assert set(np.unique(example.label)) <= {0, 1, IGNORE}


def test_the_defaults_change_nothing(data):
    example = blobs(np.random.default_rng(0))
    chex.assert_trees_all_equal(pipeline(data).augment(np.random.default_rng(1), example), example)


def test_random_color_changes_the_image_alone(data):
    rng = np.random.default_rng(0)
    example = blobs(rng)
    changed = pipeline(data, brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1).augment(rng, example)
    assert (changed.image != example.image).any()
    np.testing.assert_array_equal(changed.label, example.label)


@pytest.mark.parametrize("fields", [{"brightness": 0.5}, {"blur": 3.0}, {"noise": 0.5}])
def test_pixels_of_detectors_change_as_those_of_semantic_models_do(data, fields):
    example = blobs(np.random.default_rng(0))
    objects = Objects(*np.zeros((4, 0)))
    semantic = pipeline(data, **fields).augment(np.random.default_rng(1), example)
    options = pipeline(data, "instances", **fields).options
    detector = Pipeline({name: options[name] for name in ("color", "blur", "noise")})
    instance = detector.augment_instances(np.random.default_rng(1), InstanceExample(example.image, objects), None)
    np.testing.assert_array_equal(instance.image, semantic.image)
    assert (instance.image != example.image).any()
    assert instance.objects is objects


def test_elastic_deformation_bends_image_and_label(data):
    example = blobs(np.random.default_rng(0))
    bent = pipeline(data, elastic=3.0).augment(np.random.default_rng(1), example)
    assert (bent.image != example.image).any()
    assert (bent.label != example.label).any()
    assert_moved_together(bent)


@pytest.mark.parametrize(
    ("task", "field", "value", "message"),
    [
        ("semantic", "crop_scale", (1.0, 0.5), r"crop_scale is \(1\.0, 0\.5\); expected 0 < lowest <= highest"),
        ("semantic", "crop_ratio", (0.0, 1.0), r"crop_ratio is \(0\.0, 1\.0\); expected 0 < lowest"),
        ("semantic", "brightness", -0.1, r"brightness is -0\.1; expected 0 to 1"),
        ("semantic", "hue", 2.0, r"hue is 2\.0; expected 0 to 1"),
        ("semantic", "rotation", -1.0, r"rotation is -1\.0; expected 0 to 180 degrees"),
        ("semantic", "blur", 21.0, r"blur is 21\.0; expected 0 to 20 pixels"),
        ("semantic", "noise", 1.5, r"noise is 1\.5; expected 0 to 1"),
        ("instances", "noise", -0.5, r"noise is -0\.5; expected 0 to 1"),
        ("instances", "rotation", 5.0, r"rotation is 5\.0; expected 0\.0, since detectors do not support it"),
        ("semantic", "elastic", -1.0, r"elastic is -1\.0; expected 0 or more"),
        ("semantic", "copy_paste", 0.5, r"copy_paste is 0\.5; expected 0\.0, since semantic models do not support it"),
        ("semantic", "min_sizes", (32,), r"min_sizes is \(32,\); expected \(\), since semantic models"),
        ("instances", "min_sizes", (48, 200), r"min_sizes is \(48, 200\); expected .* which is 96"),
        ("instances", "scale_jitter", (0.0, 2.0), r"scale_jitter is \(0\.0, 2\.0\); expected 0 < lowest"),
        ("instances", "copy_paste", 1.5, r"copy_paste is 1\.5; expected 0 to 1"),
        ("instances", "elastic", 2.0, r"elastic is 2\.0; expected 0\.0, since detectors do not support it"),
        (
            "instances",
            "crop_scale",
            (0.5, 1.0),
            r"crop_scale is \(0\.5, 1\.0\); expected \(1\.0, 1\.0\), since detectors",
        ),
    ],
)
def test_wrong_fields_are_named(data, task, field, value, message):
    with pytest.raises(ValueError, match=rf"^config\.data\.augment\.{message}"):
        pipeline(data, task, **{field: value})


def test_fields_of_no_augmentation_are_named(data):
    with data.unlocked():
        data.augment.sharpen = 0.5
    with pytest.raises(
        ValueError, match=r"config\.data\.augment\.sharpen is 0\.5; expected one of the fields crop_scale, "
    ):
        read_pipeline(data, "semantic")


def test_each_field_of_the_config_belongs_to_one_augmentation(data):
    fields = [field for entry in AUGMENTATIONS.values() for field in entry.options._field_defaults]
    assert len(set(fields)) == len(fields)
    assert set(fields) == set(data.augment)
    for entry in AUGMENTATIONS.values():  # a default is no change, and is that of the config
        for field, default in entry.options._field_defaults.items():
            assert data.augment[field] == default, field


def test_each_augmentation_serves_a_task():
    assert all(serves(entry, "semantic") or serves(entry, "instances") for entry in AUGMENTATIONS.values())

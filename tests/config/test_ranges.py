"""Every number of a config has a range, and numbers out of range are refused with the field and the range."""

import ml_collections
import pytest

from jaxseg import config as defaults
from jaxseg.commands import settings
from jaxseg.config import ranges
from jaxseg.config.changes import field_names, get_value, set_text, set_value
from jaxseg.config.forms import FORMS, INTERVAL
from jaxseg.models import fields

# Tuples of numbers that are empty by default, and a count that is None by default.
EMPTY = {
    "loss.class_weights",
    "optimizer.milestones",
    "data.augment.min_sizes",
    "data.crop_size",
    "train.steps",
    "data.split_seed",
}


def every_config():
    yield defaults.semantic()
    yield defaults.detector()
    for name in fields.MODELS:
        yield ml_collections.ConfigDict({"model": fields.default_fields(name)})


def test_every_numeric_field_has_a_range_and_every_range_a_field():
    names, numeric = set(), set()
    for config in every_config():
        names |= set(field_names(config))
        numeric |= {name for name in field_names(config) if ranges.numbers_in(get_value(config, name))}
    assert numeric - set(ranges.RANGES) == set()
    assert set(ranges.RANGES) - names == set()
    assert names >= EMPTY
    assert set(ranges.RANGES) >= EMPTY


def test_the_defaults_are_in_range():
    for config in every_config():
        ranges.check(config)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("optimizer.learning_rate", -1.0, "optimizer.learning_rate is -1.0; expected more than 0"),
        ("optimizer.learning_rate", float("nan"), "expected more than 0"),
        ("optimizer.ema", 1.0, "expected 0 to less than 1"),
        ("loss.dice", -0.5, "loss.dice is -0.5; expected at least 0"),
        ("loss.class_weights", (1.0, -1.0), r"loss.class_weights is \(1.0, -1.0\)"),
        ("mesh.data", 0, "expected at least 1, or -1"),
        ("mesh.data", -1, None),
        ("train.batch_size", 0, "expected at least 1"),
        ("data.std", (0.5, 0.0, 0.5), "data.std"),
        ("data.image_size", (64, 0), "data.image_size"),
        ("train.steps", 0, "train.steps is 0; expected at least 1"),
    ],
)
def test_numbers_out_of_range_are_refused(field, value, expected):
    config = defaults.semantic()
    section, _, name = field.rpartition(".")
    config[section][name] = value
    if expected is None:
        ranges.check(config)
        return
    with pytest.raises(ValueError, match=expected):
        ranges.check(config)


@pytest.mark.parametrize("text", ["0.5", "(0.5, 1.0, 2.0)", "(2.0, 0.5)"])
@pytest.mark.parametrize("field", [name for name, form in FORMS.items() if form is INTERVAL])
def test_a_range_that_is_drawn_from_has_two_numbers_in_order(field, text):
    config = defaults.detector() if field.endswith("scale_jitter") else defaults.semantic()
    set_text(config, field, text)
    with pytest.raises(ValueError, match=rf"{field} is .*; expected the lowest and the highest number"):
        ranges.check(config)
    set_text(config, field, "(0.5, 2.0)")
    ranges.check(config)


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("train.batch_size", "None", "train.batch_size is None; expected a value"),
        ("optimizer.learning_rate", "none", "optimizer.learning_rate is None; expected a value"),
        ("seed", "None", "seed is None; expected a value"),
        ("data.mean", "0.1,0.2", r"data.mean is \(0.1, 0.2\); expected three numbers"),
        ("data.std", "1,2,3,4", r"data.std is \(1, 2, 3, 4\); expected three numbers"),
        ("optimizer.factors", "encoder_0/,0.1", "optimizer.factors is .*; expected pairs of a prefix and a factor"),
        ("optimizer.factors", "((1, 2),)", "optimizer.factors is .*; expected pairs of a prefix and a factor"),
        ("optimizer.factors", "(('a/', -1.0),)", "optimizer.factors is .*; expected pairs of a prefix and a factor"),
        ("model.anchor_sizes", "((8,), (16,))", "model.anchor_sizes is .*; expected sizes for each of 5 levels"),
        ("model.anchor_sizes", "8,16,32,64,128", "model.anchor_sizes is .*; expected sizes for each of 5 levels"),
        ("model.anchor_sizes", "((8,),(16,),(32,),(64,),(1, 2))", "expected sizes for each of 5 levels"),
        ("model.anchor_ratios", "", r"model.anchor_ratios is \(\); expected one or more ratios"),
        ("model.box_sampling.positive_fraction", "0", "expected more than 0 to 1"),
    ],
)
def test_a_field_of_the_wrong_form_is_refused(field, text, message):
    config = defaults.load("mask_rcnn_coco" if field.startswith("model.") else "unet_shapes")
    with pytest.raises(ValueError, match=message):
        settings.change(config, [(field, text)], as_text=True)


def test_none_is_accepted_where_it_has_a_meaning():
    config = defaults.semantic()
    for field in ranges.OPTIONAL:
        set_value(config, field, None)
    ranges.check(config)

"""Fields that change nothing are named, and no shipped config has one."""

import pytest

from jaxseg import config as defaults
from jaxseg.config.changes import field_names, set_text
from jaxseg.config.effects import CONDITIONS, without_effect

# For each field a value, and what makes it count.
CASES = {
    "optimizer.milestones": ("(0.5,)", "optimizer.schedule=steps"),
    "optimizer.gamma": ("0.5", "optimizer.schedule=steps"),
    "loss.label_smoothing": ("0.1", "loss.cross_entropy=0.5"),
    "loss.class_weights": ("(1.0, 2.0)", "loss.focal=1"),
    "data.border_weight": ("2.0", "loss.cross_entropy=1"),
    "data.border_width": ("2.0", "data.border_weight=1"),
    "data.max_size": ("500", "data.resize=short_side"),
    "data.augment.scale": ("(0.5, 2.0)", "data.resize=none"),
    "data.augment.crop_scale": ("(0.5, 1.0)", "data.resize=stretch"),
    "data.augment.crop_ratio": ("(0.5, 1.0)", "data.resize=stretch"),
    "data.crop_size": ("(96, 96)", "data.augment.scale_jitter=(0.5, 1.0)"),
}
# What disables them, where the default does not.
BEFORE = {
    "loss.label_smoothing": "loss.cross_entropy=0",
    "loss.class_weights": "loss.cross_entropy=0",
    "data.border_weight": "loss.cross_entropy=0",
    "data.augment.crop_scale": "data.resize=none",
    "data.augment.crop_ratio": "data.resize=none",
}


@pytest.mark.parametrize("field", CASES)
def test_a_field_is_named_until_it_counts(field):
    config = defaults.detector() if field == "data.crop_size" else defaults.semantic()
    if field in BEFORE:
        set_text(config, *BEFORE[field].split("="))
    assert without_effect(config) == []
    value, remedy = CASES[field]
    set_text(config, field, value)
    (text,) = without_effect(config)
    assert text.startswith(f"{field} is ")
    remedy, setting = remedy.split("=")
    assert remedy in text.split("has no effect: ")[1]
    set_text(config, remedy, setting)
    assert without_effect(config) == []


def test_every_condition_is_about_known_fields_and_has_a_case():
    for task, config in (("semantic", defaults.semantic()), ("instances", defaults.detector())):
        fields = [field for condition in CONDITIONS[task] for field in condition.fields]
        assert set(fields) <= set(field_names(config)) & set(CASES)


@pytest.mark.parametrize("name", defaults.page_names())
def test_no_shipped_config_has_a_field_without_effect(name):
    assert without_effect(defaults.load(name)) == []

"""Fields that change nothing because of another field. A run names them before it starts."""

from collections.abc import Callable
from typing import NamedTuple

import ml_collections

from jaxseg.config.changes import field_names, get_value
from jaxseg.config.defaults import detector, semantic

DEFAULTS = {"semantic": semantic, "instances": detector}


class Condition(NamedTuple):
    """What some fields need to have an effect.

    Attributes:
      fields: the fields.
      is_met: whether they have an effect in a config.
      reason: why not, as the rest of a sentence.
    """

    fields: tuple[str, ...]
    is_met: Callable[[ml_collections.ConfigDict], bool]
    reason: str


SHARED = (
    Condition(
        ("optimizer.milestones", "optimizer.gamma"),
        lambda config: config.optimizer.schedule == "steps",
        'optimizer.schedule is not "steps"',
    ),
)
CONDITIONS = {
    "semantic": (
        *SHARED,
        Condition(("loss.label_smoothing",), lambda config: config.loss.cross_entropy > 0, "loss.cross_entropy is 0"),
        Condition(
            ("loss.class_weights", "data.border_weight"),
            lambda config: config.loss.cross_entropy > 0 or config.loss.focal > 0,
            "loss.cross_entropy and loss.focal are 0",
        ),
        Condition(("data.border_width",), lambda config: config.data.border_weight > 0, "data.border_weight is 0"),
        Condition(
            ("data.max_size",), lambda config: config.data.resize == "short_side", 'data.resize is not "short_side"'
        ),
        Condition(("data.augment.scale",), lambda config: config.data.resize != "stretch", 'data.resize is "stretch"'),
        Condition(
            ("data.augment.crop_scale", "data.augment.crop_ratio"),
            lambda config: config.data.resize == "stretch",
            'data.resize is not "stretch"',
        ),
    ),
    "instances": (
        *SHARED,
        Condition(
            ("data.crop_size",),
            lambda config: tuple(config.data.augment.scale_jitter) != (1.0, 1.0),
            "data.augment.scale_jitter is (1.0, 1.0)",
        ),
    ),
}


def without_effect(config: ml_collections.ConfigDict) -> list[str]:
    """Returns a sentence about each field that differs from its default and has no effect.

    Example:
      >>> config = semantic()
      >>> config.optimizer.gamma = 0.5
      >>> without_effect(config)
      ['optimizer.gamma is 0.5 and has no effect: optimizer.schedule is not "steps"']
    """
    usual = DEFAULTS[config.task]()
    known = set(field_names(config))
    return [
        f"{field} is {get_value(config, field)} and has no effect: {condition.reason}"
        for condition in CONDITIONS[config.task]
        if not condition.is_met(config)
        for field in condition.fields
        if field in known and get_value(config, field) != get_value(usual, field)
    ]

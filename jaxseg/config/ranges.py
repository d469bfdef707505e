"""Ranges of all numeric fields, checked before anything is compiled."""

import math
from typing import Any, NamedTuple

import ml_collections

from jaxseg.config.changes import WORDS, field_names, get_value
from jaxseg.config.forms import FORMS


class Range(NamedTuple):
    """Numbers that a field accepts.

    Attributes:
      low: the lowest.
      high: the highest.
      open_low: exclude the lowest itself.
      open_high: exclude the highest itself.
      also: one more number, such as -1, with a meaning of its own.
    """

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    also: float | None = None

    def contains(self, number: float) -> bool:
        """Returns whether a field accepts a number."""
        if self.also is not None and number == self.also:
            return True
        above = number > self.low if self.open_low else number >= self.low
        below = number < self.high if self.open_high else number <= self.high
        return above and below and math.isfinite(number)

    def __str__(self) -> str:
        also = "" if self.also is None else f", or {self.also:g}"
        if self.high == math.inf:
            return (f"more than {self.low:g}" if self.open_low else f"at least {self.low:g}") + also
        low = f"more than {self.low:g}" if self.open_low else f"{self.low:g}"
        high = f"less than {self.high:g}" if self.open_high else f"{self.high:g}"
        return f"{low} to {high}{also}"


AT_LEAST_0 = Range(low=0)
AT_LEAST_1 = Range(low=1)
POSITIVE = Range(low=0, open_low=True)
SHARE = Range(low=0, high=1)
BELOW_1 = Range(low=0, high=1, open_high=True)
COUNT_OR_REST = Range(low=1, also=-1)

# Every field that is a number or a tuple of numbers; each number of a tuple is checked.
RANGES = {
    "seed": Range(low=0, high=2**31 - 1),
    "memory_limit": AT_LEAST_0,
    "mesh.data": COUNT_OR_REST,
    "mesh.fsdp": COUNT_OR_REST,
    "mesh.spatial": COUNT_OR_REST,
    "mesh.slices": COUNT_OR_REST,
    "data.tolerate_size_difference": AT_LEAST_0,
    "data.split_seed": AT_LEAST_0,
    "data.val_fraction": Range(low=0, high=1, open_low=True, open_high=True),
    "data.image_size": AT_LEAST_1,
    "data.crop_size": AT_LEAST_1,
    "data.min_size": AT_LEAST_1,
    "data.max_size": AT_LEAST_1,
    "data.max_objects": AT_LEAST_1,
    "data.page": AT_LEAST_0,
    "data.max_pixels": AT_LEAST_1,
    "data.border_weight": AT_LEAST_0,
    "data.border_width": POSITIVE,
    "data.select.first": AT_LEAST_0,
    "data.select.most_objects": AT_LEAST_0,
    "data.select.least_share": SHARE,
    "data.mean": Range(),
    "data.std": POSITIVE,
    "data.scale": POSITIVE,
    "data.workers": AT_LEAST_0,
    "data.augment.crop_scale": POSITIVE,
    "data.augment.crop_ratio": POSITIVE,
    "data.augment.rotation": Range(low=0, high=180),
    "data.augment.scale": POSITIVE,
    "data.augment.elastic": AT_LEAST_0,
    "data.augment.min_sizes": AT_LEAST_1,
    "data.augment.scale_jitter": POSITIVE,
    "data.augment.copy_paste": SHARE,
    "data.augment.brightness": SHARE,
    "data.augment.contrast": SHARE,
    "data.augment.saturation": SHARE,
    "data.augment.hue": SHARE,
    "data.augment.blur": Range(low=0, high=20),
    "data.augment.noise": SHARE,
    "loss.cross_entropy": AT_LEAST_0,
    "loss.dice": AT_LEAST_0,
    "loss.focal": AT_LEAST_0,
    "loss.lovasz": AT_LEAST_0,
    "loss.label_smoothing": BELOW_1,
    "loss.class_weights": AT_LEAST_0,
    "loss.auxiliary": AT_LEAST_0,
    "optimizer.learning_rate": POSITIVE,
    "optimizer.milestones": Range(low=0, high=1, open_low=True, open_high=True),
    "optimizer.gamma": Range(low=0, high=1, open_low=True),
    "optimizer.warmup_steps": AT_LEAST_0,
    "optimizer.weight_decay": AT_LEAST_0,
    "optimizer.clip_norm": AT_LEAST_0,
    "optimizer.ema": BELOW_1,
    "train.batch_size": AT_LEAST_1,
    "train.steps": AT_LEAST_1,
    "train.epochs": POSITIVE,
    "train.accumulate": AT_LEAST_1,
    "train.evaluate_every": AT_LEAST_0,
    "train.evaluate_epochs": AT_LEAST_0,
    "train.checkpoint_every": AT_LEAST_0,
    "train.keep": AT_LEAST_1,
    "model.features": AT_LEAST_1,
    "model.width": AT_LEAST_1,
    "model.channels": AT_LEAST_1,
    "model.hidden": AT_LEAST_1,
    "model.depth": AT_LEAST_0,
    "model.stride": AT_LEAST_1,
    "model.version": Range(low=1, high=2),
    "model.dropout": BELOW_1,
    "model.norm_momentum": BELOW_1,
    "model.norm_epsilon": AT_LEAST_0,
    "model.trainable_layers": Range(low=0, high=5),
    "model.anchor_sizes": POSITIVE,
    "model.anchor_ratios": POSITIVE,
    "model.proposal.pre_nms_top_n": AT_LEAST_1,
    "model.proposal.post_nms_top_n": AT_LEAST_1,
    "model.proposal.nms_iou": SHARE,
    "model.proposal.min_size": AT_LEAST_0,
    "model.training_proposal.pre_nms_top_n": AT_LEAST_1,
    "model.training_proposal.post_nms_top_n": AT_LEAST_1,
    "model.training_proposal.nms_iou": SHARE,
    "model.training_proposal.min_size": AT_LEAST_0,
    "model.rpn_sampling.batch_size_per_image": AT_LEAST_1,
    "model.rpn_sampling.positive_fraction": SHARE,
    "model.box_sampling.batch_size_per_image": AT_LEAST_1,
    "model.box_sampling.positive_fraction": Range(low=0, high=1, open_low=True),
    "model.detection.max_detections": AT_LEAST_1,
    "model.detection.score_threshold": SHARE,
    "model.detection.nms_iou": SHARE,
    "model.detection.min_size": AT_LEAST_0,
}

OPTIONAL = ("train.steps", "train.best_metric", "data.split_seed")  # fields in which None has a meaning


def check(config: ml_collections.ConfigDict) -> None:
    """Checks that every field of a config has a value of its form, and every number is in its range.

    Raises:
      ValueError: a field is not as it should be. The message names it and what is expected.
    """
    for field in field_names(config):
        value = get_value(config, field)
        if value is None and field not in OPTIONAL:
            raise ValueError(f"{field} is None; expected a value. Leave it out to keep the one of the config.")
        if field in FORMS and not FORMS[field].fits(value):
            raise ValueError(f"{field} is {value}; expected {FORMS[field].expected}.")
        if field in RANGES:
            check_field(field, value)


def check_field(field: str, value: Any) -> None:
    """Checks the value of a field in ``RANGES``.

    Raises:
      ValueError: a number is out of range.
    """
    if isinstance(value, str) and value != WORDS.get(field):
        also = f", or {WORDS[field]!r}" if field in WORDS else ""
        raise ValueError(f"{field} is {value!r}; expected {RANGES[field]}{also}.")
    for number in numbers_in(value):
        if not RANGES[field].contains(number):
            raise ValueError(f"{field} is {value}; expected {RANGES[field]}.")


def numbers_in(value: Any) -> list[float]:
    """Returns the numbers in a value: a number itself, or those in tuples of any depth."""
    if isinstance(value, (list, tuple)):
        return [number for part in value for number in numbers_in(part)]
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else []

"""Forms of fields that are tuples: how many parts they have, and in which order."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

LEVELS = 5  # of the feature pyramid


class Form(NamedTuple):
    """What the value of a field looks like.

    Attributes:
      fits: whether a value has the form.
      expected: the form, as the rest of "expected ...", with an example.
    """

    fits: Callable[[Any], bool]
    expected: str


def are_numbers(value: Any, *lengths: int) -> bool:
    """Returns whether a value is a tuple or list of numbers; of one of these lengths, where any is given.

    Example:
      >>> are_numbers((1, 2.5), 2, 3), are_numbers((1, 2), 3), are_numbers("12"), are_numbers(())
      (True, False, False, True)
    """
    if not isinstance(value, (list, tuple)) or (lengths and len(value) not in lengths):
        return False
    return all(isinstance(part, (int, float)) and not isinstance(part, bool) for part in value)


def _is_interval(value: Any) -> bool:
    return are_numbers(value, 2) and value[0] <= value[1]


def _is_factor(value: Any) -> bool:
    if not isinstance(value, (list, tuple)) or len(value) != 2 or not isinstance(value[0], str):
        return False
    return are_numbers(value[1:]) and math.isfinite(value[1]) and value[1] >= 0


def _are_anchor_sizes(value: Any) -> bool:
    """Returns whether each level has sizes, and as many as the others, since they share the head of the RPN."""
    if not isinstance(value, (list, tuple)) or len(value) != LEVELS or not all(map(are_numbers, value)):
        return False
    return len({len(sizes) for sizes in value}) == 1 and len(value[0]) > 0


INTERVAL = Form(_is_interval, "the lowest and the highest number, such as (0.5, 2.0)")
PER_CHANNEL = Form(lambda value: are_numbers(value, 0, 3), "three numbers, one per channel, or () for the usual ones")
FORMS = {
    "data.mean": PER_CHANNEL,
    "data.std": PER_CHANNEL,
    "data.augment.crop_scale": INTERVAL,
    "data.augment.crop_ratio": INTERVAL,
    "data.augment.scale": INTERVAL,
    "data.augment.scale_jitter": INTERVAL,
    "optimizer.factors": Form(
        lambda value: all(map(_is_factor, value)), 'pairs of a prefix and a factor, such as (("head/", 0.1),)'
    ),
    "model.anchor_sizes": Form(
        _are_anchor_sizes, f"sizes for each of {LEVELS} levels, such as ((32,), (64,), (128,), (256,), (512,))"
    ),
    "model.anchor_ratios": Form(
        lambda value: are_numbers(value) and len(value) > 0, "one or more ratios, such as (0.5, 1, 2)"
    ),
}

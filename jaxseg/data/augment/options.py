"""What the options of several augmentations share: how they are read and checked."""

from typing import Any

import ml_collections


def read_fields(options: Any, data_config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Returns the fields of ``config.data.augment`` that a class of options has, by name; lists are tuples."""
    given = {field: data_config.augment[field] for field in options._field_defaults}
    return {field: tuple(value) if isinstance(value, list | tuple) else value for field, value in given.items()}


def check_range(field: str, value: tuple[float, float]) -> None:
    """Checks that an option is a range (lowest, highest) of positive numbers.

    Raises:
      ValueError: it is not.
    """
    low, high = value
    if not 0 < low <= high:
        raise ValueError(f"config.data.augment.{field} is ({low}, {high}); expected 0 < lowest <= highest.")


def check_fraction(field: str, value: float) -> None:
    """Checks that an option is in 0..1.

    Raises:
      ValueError: it is not.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"config.data.augment.{field} is {value}; expected 0 to 1.")

"""Checks that the options of several augmentations share."""


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

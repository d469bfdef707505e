"""Dividing a data set that has no official splits."""

import random
from collections.abc import Sequence


def divide(names: Sequence[str], share: float) -> dict[str, list[str]]:
    """Shuffles the sorted names with the seed 1337; the last ``share`` of them, at least one, is for validation."""
    shuffled = sorted(names)
    random.Random(1337).shuffle(shuffled)
    first = len(shuffled) - max(1, round(len(shuffled) * share))
    return {"train": shuffled[:first], "val": shuffled[first:]}

"""Dividing a data set that has no official splits."""

import random
from collections.abc import Sequence

SEED = 1337


def divide(names: Sequence[str], share: float, seed: int = SEED) -> dict[str, list[str]]:
    """Shuffles the sorted names; the last ``share`` of them, at least one, is for validation.

    Example:
      >>> divide("abcde", 0.2)
      {'train': ['b', 'a', 'd', 'c'], 'val': ['e']}
    """
    shuffled = sorted(names)
    random.Random(seed).shuffle(shuffled)
    first = len(shuffled) - max(1, round(len(shuffled) * share))
    return {"train": shuffled[:first], "val": shuffled[first:]}

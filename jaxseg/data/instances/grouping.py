"""An endless order of batches with images of one group each, such as those that are padded to one size."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class GroupedOrder(NamedTuple):
    """An order of batches in which batch t is a function of (seed, t).

    Each group is shuffled for each pass over it and cut into batches, which may straddle two passes. In an epoch,
    groups take turns at random in proportion to their images: after n epochs, a group of ``len(g)`` images has had
    ``⌊n len(g) / batch_size⌋`` batches.

    Attributes:
      groups: the images of each group, int ``[n]``, none of them empty.
      batch_size: images per batch.
      seed: seed of the order.
    """

    groups: Sequence[np.ndarray]
    batch_size: int
    seed: int

    def batch(self, step: int) -> tuple[int, np.ndarray]:
        """Returns the number of the group of batch ``step``, and its images ``[b]``."""
        epoch = self._epoch(step)
        before, after = self._batches(epoch), self._batches(epoch + 1)
        turns = np.repeat(np.arange(len(self.groups)), after - before)
        turns = np.random.default_rng([self.seed, epoch, 1]).permutation(turns)
        place = step - before.sum()
        group = int(turns[place])
        return group, self._images(group, int(before[group] + np.count_nonzero(turns[:place] == group)))

    def _batches(self, epochs: int) -> np.ndarray:
        """Counts the batches of each group in a number of epochs."""
        return epochs * np.array([len(group) for group in self.groups]) // self.batch_size

    def _epoch(self, step: int) -> int:
        # Batches that groups have not filled wait for a later epoch, so the true one is this or a little later.
        epoch = step * self.batch_size // sum(len(group) for group in self.groups)
        while self._batches(epoch + 1).sum() <= step:
            epoch += 1
        return epoch

    def _images(self, group: int, number: int) -> np.ndarray:
        """Returns batch ``number`` of a group."""
        members = self.groups[group]
        turns, places = np.divmod(np.arange(number * self.batch_size, (number + 1) * self.batch_size), len(members))
        images = np.empty(self.batch_size, np.int64)
        for turn in np.unique(turns):
            shuffled = np.random.default_rng([self.seed, turn, 2 + group]).permutation(members)
            images[turns == turn] = shuffled[places[turns == turn]]
        return images

"""An endless order of batches, each of which has images of one group, such as those that are padded to one size."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class GroupedOrder(NamedTuple):
    """Batch t of it is a function of (seed, t).

    Each group is shuffled anew each time all of it was seen, and cut into batches, which may straddle two such turns.
    In an epoch, groups take turns by chance, each as often as its share of the images demands: after n epochs, group g
    of ``len(g)`` images has had ``⌊n len(g) / batch_size⌋`` batches.

    Attributes:
      groups: the images of each, int ``[n]``, none of them empty.
      batch_size: images a batch.
      seed: of the order.
    """

    groups: Sequence[np.ndarray]
    batch_size: int
    seed: int

    def batch(self, step: int) -> tuple[int, np.ndarray]:
        """The number of the group of batch ``step``, and its images ``[b]``."""
        epoch = self._epoch(step)
        before, after = self._batches(epoch), self._batches(epoch + 1)
        turns = np.repeat(np.arange(len(self.groups)), after - before)
        turns = np.random.default_rng([self.seed, epoch, 1]).permutation(turns)
        place = step - before.sum()
        group = int(turns[place])
        return group, self._images(group, int(before[group] + np.count_nonzero(turns[:place] == group)))

    def _batches(self, epochs: int) -> np.ndarray:
        """How many batches each group has had after so many epochs."""
        return epochs * np.array([len(group) for group in self.groups]) // self.batch_size

    def _epoch(self, step: int) -> int:
        # Batches that groups have not filled wait for a later epoch, so the true one is this or a little later.
        epoch = step * self.batch_size // sum(len(group) for group in self.groups)
        while self._batches(epoch + 1).sum() <= step:
            epoch += 1
        return epoch

    def _images(self, group: int, number: int) -> np.ndarray:
        """Batch ``number`` of a group."""
        members = self.groups[group]
        turns, places = np.divmod(np.arange(number * self.batch_size, (number + 1) * self.batch_size), len(members))
        images = np.empty(self.batch_size, np.int64)
        for turn in np.unique(turns):
            shuffled = np.random.default_rng([self.seed, turn, 2 + group]).permutation(members)
            images[turns == turn] = shuffled[places[turns == turn]]
        return images

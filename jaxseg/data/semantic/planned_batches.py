"""Training batches for augmentation on the device: images as they are stored, and what the device does to each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxseg.data.augment import Pipeline
from jaxseg.data.augment.plan import Plan
from jaxseg.data.naming import named_errors
from jaxseg.data.resize import Size
from jaxseg.types import Example, UnaugmentedBatch


class PlannedBatch(NamedTuple):
    """Makes the batch of a step for augmentation on the device, from the same random numbers as ``TrainBatch``."""

    examples: Sequence[Example]
    pipeline: Pipeline
    size: Size
    seed: int
    batch_size: int
    share: slice
    files: Sequence[str] = ()

    def __call__(self, step: int, indices: np.ndarray) -> UnaugmentedBatch:
        """Returns the rows ``share`` of the batch of ``step``, which consists of the records ``indices`` ``[b]``."""
        rows = range(self.batch_size)[self.share]
        examples = [self._example(int(indices[row])) for row in rows]
        rngs = [np.random.default_rng([self.seed, step * self.batch_size + row]) for row in rows]
        return stack_planned(examples, [self.pipeline.plan(rng, self.size) for rng in rngs])

    def _example(self, index: int) -> Example:
        with named_errors(self.files, index):
            return self.examples[index]


def stack_planned(examples: Sequence[Example], plans: Sequence[Plan]) -> UnaugmentedBatch:
    """Returns a batch of examples and of the plans to augment them."""
    return UnaugmentedBatch(
        np.stack([example.image for example in examples]),
        np.stack([example.label for example in examples]),
        np.ones(len(examples), bool),
        *(None if values[0] is None else np.stack(values) for values in zip(*plans, strict=True)),
    )

"""Training batches of several runs that are trained together, read by one pipeline."""

from collections.abc import Sequence
from typing import NamedTuple

import grain
import numpy as np

from jaxseg.data.stream import BatchStream
from jaxseg.types import AnyBatch


class StackedBatches(NamedTuple):
    """A function from a step to the stacked batches of several runs.

    Attributes:
      datasets: the batches of each run, by step.
    """

    datasets: Sequence[grain.MapDataset]

    def __call__(self, step: int) -> AnyBatch:
        """Returns the batches of a step, arrays ``[run, b, ...]``."""
        batches = [dataset[step] for dataset in self.datasets]
        return type(batches[0])(
            *(None if arrays[0] is None else np.stack(arrays) for arrays in zip(*batches, strict=True))
        )


def stacked_stream(datasets: Sequence[grain.MapDataset], *, start_step: int, workers: int) -> BatchStream:
    """Returns the stacked batches of several runs from a step on. Each run gets the batches that it gets alone.

    Args:
      datasets: the batches of each run, by step.
      start_step: the first step.
      workers: see ``BatchStream``.
    """
    steps = min(len(dataset) for dataset in datasets)
    batches = grain.MapDataset.range(steps).map(StackedBatches(datasets))
    return BatchStream(batches[start_step:], workers=workers)

"""The share of a split that one process predicts."""

from collections.abc import Callable, Iterator
from typing import Any

from jaxseg.inference.engine import Engine
from jaxseg.inference.pipeline import Outcome, run_pipeline
from jaxseg.types import Source


def handle_share(
    engine: Engine, source: Source, read: Callable, batch: int, share: tuple[int, int], handle: Callable
) -> Iterator[Any]:
    """Yields what ``handle`` returns for each image of a share.

    Raises:
      Exception: an image that cannot be read or predicted ends the evaluation, since scores need all of them.
    """
    indices = range(share[0], len(source.records), share[1])
    for outcome in run_pipeline(engine, indices, read, batch, handle):
        yield unless_failed(outcome).value


def unless_failed(outcome: Outcome) -> Outcome:
    if outcome.error is not None:
        raise outcome.error
    return outcome

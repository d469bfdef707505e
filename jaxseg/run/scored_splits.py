"""The splits that a config names for scoring, and what they need to be scored."""

from collections.abc import Mapping

import ml_collections
import numpy as np

from jaxseg.data.class_shares import has_labeled_pixel
from jaxseg.types import Source


def scored_splits(config: ml_collections.ConfigDict) -> list[str]:
    """Returns the kinds of split that the config names: "val", "test"."""
    return [kind for kind in ("val", "test") if config.data[kind]]


def check_scored(sources: Mapping[str, Source], task: str) -> None:
    """Checks that the splits to score have something to score. Mostly, it reads one image per split.

    Args:
      sources: the splits, by kind: "val", "test".
      task: ``config.task``.

    Raises:
      ValueError: a split has no images, no objects for a detector, or no labeled pixel for a semantic model.
    """
    for kind, source in sources.items():
        if not len(source.records):
            raise ValueError(f"data.{kind} has no images; expected at least one. Set data.{kind}='' to skip it.")
        if task == "instances" and source.catalogue is not None and not np.any(source.catalogue.counts):
            raise ValueError(
                f"data.{kind} has no objects to score, or crowd regions only. Set data.{kind}='' to skip it."
            )
        if task == "semantic" and not has_labeled_pixel(source):
            raise ValueError(
                f"data.{kind} has label maps of nothing but 255, which means ignore; expected a labeled pixel. Set "
                f"data.{kind}='' to skip it."
            )

"""Folders with masks of classes: one number or color per class."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import ml_collections
import numpy as np

from jaxseg.data.images import read_options
from jaxseg.data.masks.class_lists import find_class_list
from jaxseg.data.masks.classes import decide
from jaxseg.data.masks.coding import Coding, format_value, keys_of
from jaxseg.data.masks.decision import Decision
from jaxseg.data.masks.scan import MaskSummary
from jaxseg.data.report import Findings, Notices
from jaxseg.data.sources.pair_checks import CheckedPair, files_of
from jaxseg.data.sources.pairs import PairedRecords, fingerprint, image_files
from jaxseg.types import IGNORE, Source

MOST_FOLDERS = 8  # of masks, in which a list of classes is searched


def open_classes(
    own: Sequence[CheckedPair],
    masks: Mapping[Path, MaskSummary],
    folder: Path,
    data_config: ml_collections.ConfigDict,
    notices: Notices,
    origin: str,
) -> Source:
    """Returns the source of masks with classes.

    Args:
      own: the readable images and masks of a split.
      masks: the readable masks of all splits, and what was seen of them. They decide what the values mean.
      folder: the data set, which may have a list of classes.
      data_config: ``config.data``.
      notices: what is unusual about them.
      origin: ends the error about a file that is missing.

    Raises:
      ValueError: the masks have no one meaning.
    """
    listed = find_class_list([folder, *sorted({mask.parent for mask in masks})[:MOST_FOLDERS]])
    decision = decide(list(masks.values()), list(masks), listed, notices)
    pairs, tolerance = files_of(own), data_config.tolerate_size_difference
    records = PairedRecords(pairs, read_options(data_config), decision.coding, tolerance)
    mark = fingerprint(pairs, f"{decision.coding} {tuple(records.options)} {tolerance}", origin)
    return Source(
        records,
        decision.class_names,
        decision.palette,
        f"folder {mark}",
        None,
        _findings(own, decision, notices),
        image_files(pairs),
        records.size,
    )


def _findings(own: Sequence[CheckedPair], decision: Decision, notices: Notices) -> Findings:
    """Returns sizes, the share of each class and the number of masks that are all background."""
    counts: Counter = Counter()
    empty = 0
    for pair in own:
        height, width = pair.image_summary.size
        classes = _count(pair.mask_summary, decision.coding) if pair.mask_summary else Counter({0: height * width})
        counts.update(classes)
        if pair.mask_summary and set(classes) <= {0, IGNORE}:
            empty += 1
            text = "are all background" + (", except for pixels to ignore" if IGNORE in classes else "")
            notices.add(text, "masks", pair.mask, of=len(own))
        if IGNORE in classes:
            text = f"have pixels of the value {_ignored(pair.mask_summary, decision.coding)}, which are ignored"
            notices.add(text, "masks", pair.mask, of=len(own), is_problem=False)
    labeled = sum(count for number, count in counts.items() if number != IGNORE) or 1
    shares = tuple(counts[number] / labeled for number in range(len(decision.class_names)))
    sizes = np.array([pair.image_summary.size for pair in own], np.int32)
    return Findings(len(own), sizes, decision.class_names, shares, empty=empty, notices=notices.all())


def _ignored(summary: MaskSummary, coding: Coding) -> str:
    """Returns the first value of a mask that means ignore."""
    key = next(key for key in keys_of(summary, coding) if coding.class_of(key) == IGNORE)
    return format_value(key, coding.by_color)


def _count(summary: MaskSummary, coding: Coding) -> Counter:
    """Returns the number of pixels of each class in a mask, from its summary."""
    counts: Counter = Counter()
    for key, count in zip(keys_of(summary, coding), summary.counts, strict=True):
        counts[coding.class_of(key)] += count
    return counts

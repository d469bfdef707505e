"""Folders with masks of instance numbers: one number per object."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import ml_collections
import numpy as np

from jaxseg.data.images import printable, read_options
from jaxseg.data.masks import instances
from jaxseg.data.masks.class_lists import find_class_list
from jaxseg.data.masks.scan import MaskSummary
from jaxseg.data.report import Findings, Notices
from jaxseg.data.sources.pair_checks import CheckedPair, files_of
from jaxseg.data.sources.pairs import PairedRecords, fingerprint, image_files
from jaxseg.types import Catalogue, Source

CHOICES = ("auto", "classes", "instances")


def are_instances(
    masks: Mapping[Path, MaskSummary], folder: Path, data_config: ml_collections.ConfigDict, notices: Notices
) -> bool:
    """Returns whether masks hold instance numbers, by ``config.data.masks`` or by their values.

    Args:
      masks: the readable masks of all splits, and what was seen of them.
      folder: the data set; a list of several classes in it means that masks hold classes.
      data_config: ``config.data``.
      notices: get that the values decided.

    Raises:
      ValueError: ``config.data.masks`` is unknown, or a detector is given masks of classes.
    """
    choice = data_config.masks
    if choice not in CHOICES:
        raise ValueError(f"config.data.masks is {choice!r}; expected one of {', '.join(CHOICES)}")
    if choice != "auto":
        return choice == "instances"
    listed = find_class_list([folder])
    is_open = listed is None or len(listed.names) == 1
    found = bool(masks) and is_open and instances.are_instances(list(masks.values()))
    if found:
        text = "hold instance numbers: one per object"
        remedy = "config.data.masks=classes takes them as classes"
        notices.add(text, "masks", next(iter(masks)), count=len(masks), remedy=remedy, is_problem=False)
    elif "border_weight" not in data_config:
        raise ValueError(
            f"the masks in {printable(folder)} hold classes; expected one number per object, as detectors need. Set "
            "config.data.masks=instances if they do, or train a semantic model"
        )
    return found


def open_instances(
    own: Sequence[CheckedPair], data_config: ml_collections.ConfigDict, notices: Notices, origin: str
) -> Source:
    """Returns the source of masks with instance numbers: objects for detectors, and a label map with borders.

    Args:
      own: the readable images and masks of a split.
      data_config: ``config.data``.
      notices: what is unusual about them.
      origin: ends the error about a file that is missing.
    """
    pairs, tolerance = files_of(own), data_config.tolerate_size_difference
    options = read_options(data_config)
    detects = "border_weight" not in data_config
    class_names = instances.CLASS_NAMES[: 2 if detects else 3]
    counts = [sum(value > 0 for value in pair.mask_summary.values) if pair.mask_summary else 0 for pair in own]
    catalogue = Catalogue(
        sizes=np.array([pair.image_summary.size for pair in own], np.int32),
        counts=np.array(counts, np.int32),
        image_ids=range(1, len(own) + 1),
        category_ids=range(len(class_names)),
    )
    findings = Findings(
        len(own),
        catalogue.sizes,
        class_names,
        objects=(0, sum(counts), *(0,) * (len(class_names) - 2)),
        empty=counts.count(0),
        notices=notices.all(),
    )
    records = PairedRecords(pairs, options, instances.read_instances, tolerance, are_instances=True)
    mark = fingerprint(pairs, f"instances {tuple(options)} {tolerance}", origin)
    palette = instances.PALETTE[: len(class_names)]
    return Source(records, class_names, palette, f"folder {mark}", catalogue, findings, image_files(pairs))

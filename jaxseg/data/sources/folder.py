"""Data sets of one's own: images and masks in a folder, without a line of code."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import ml_collections
import numpy as np

from jaxseg.data.images import printable, read_options
from jaxseg.data.masks import instances
from jaxseg.data.masks.class_lists import find_class_list
from jaxseg.data.masks.classes import decide
from jaxseg.data.masks.coding import Coding, format_value, keys_of
from jaxseg.data.masks.decision import Decision
from jaxseg.data.masks.scan import MaskSummary, scan_images, scan_masks
from jaxseg.data.report import Findings, Notices
from jaxseg.data.sources import folder_splits
from jaxseg.data.sources.file_lists import source_folder
from jaxseg.data.sources.layouts import Layout, describe_unread, find_layout
from jaxseg.data.sources.matching import match
from jaxseg.data.sources.pair_checks import CheckedPair, check_sizes, leave_out_bad, note_images, note_unmatched
from jaxseg.data.sources.pairs import Pair, PairedRecords, fingerprint, image_files
from jaxseg.types import IGNORE, Catalogue, Source

ORIGIN = (
    "A data set of your own has images/NAME.jpg, or another ending, and masks/NAME.png: a class number or a color per "
    "pixel; and, if you like, classes.txt with a class name per line, and train.txt, val.txt and test.txt with an "
    "image name per line. config.data.images and config.data.annotations name other folders"
)
CHOICES = ("auto", "classes", "instances")


class Files(NamedTuple):
    """The files of a folder, whichever split they are in.

    Attributes:
      layout: where they were found.
      pairs: (image, mask) by name; names of images that a folder of a split has start with the split.
      unlabeled: images without a mask, by name.
      names: the names by split, "" where folders do not divide the images.
      without_image: masks without an image.
    """

    layout: Layout
    pairs: Mapping[str, tuple[Path, Path]]
    unlabeled: Mapping[str, Path]
    names: Mapping[str, list[str]]
    without_image: Sequence[Path]


def open_split(data_config: ml_collections.ConfigDict, split: str) -> Source:
    """Opens the source ``folder``: images and masks in ``config.data.source_dir``.

    Layouts and names of files are described in ``layouts``, the meaning of masks in ``masks.classes``: numbers,
    colors, black and white, or instance numbers (``config.data.masks``). Images without a mask are left out, or are
    background with ``config.data.unlabeled=background``.

    Splits: with ``config.data.split_seed``, ``config.data.val_fraction`` of the images, drawn with that seed, are
    ``val``. Without it the lists ``train.txt``, ``val.txt`` and ``test.txt`` count where there are any, then the
    folders of splits; otherwise the images are divided as with the seed 1337. ``all`` is every image.

    Classes are those of ``classes.txt``, ``labelmap.txt``, ``_classes.csv`` or ``labels.txt``. Without such a file
    they are named by their numbers or colors. 255 means ignore, except in masks of 0 and 255 only.
    Such masks next to others with class numbers and without 255 have no one meaning.

    Raises:
      ValueError: a file is missing, damaged or of another size than its mask, or the masks have no one meaning.
    """
    folder = source_folder(data_config, ORIGIN)
    notices = Notices()
    files = find_files(folder, data_config, notices)
    chosen = _choose(folder, files, data_config, split, notices)
    checked = _checked_pairs(files, data_config)
    own = [checked[name] for name in chosen if name in checked]
    own = leave_out_bad(own, data_config.bad_files, notices)
    if not own:
        raise ValueError(f"{printable(folder)} has no image with a mask in the split {split!r}. {ORIGIN}")
    tolerance = data_config.tolerate_size_difference
    check_sizes(own, tolerance, notices)
    note_images(own, notices)
    every = [pair for pair in checked.values() if pair.mask_summary is not None and not pair.mask_summary.error]
    summaries, masks = [pair.mask_summary for pair in every], [pair.mask for pair in every]
    pairs = [Pair(pair.name, pair.image, pair.mask) for pair in own]
    if _are_instances(summaries, folder, data_config, notices, masks):
        return _open_instances(own, pairs, data_config, notices, tolerance)
    listed = find_class_list([folder, *sorted({mask.parent for mask in masks})[:8]])
    decision = decide(summaries, masks, listed, notices)
    records = PairedRecords(pairs, read_options(data_config), decision.coding, tolerance)
    mark = fingerprint(pairs, f"{decision.coding} {tuple(records.options)} {tolerance}", ORIGIN)
    findings = _findings(own, decision, notices)
    return Source(
        records,
        decision.class_names,
        decision.palette,
        f"folder {mark}",
        None,
        findings,
        image_files(pairs),
        records.size,
    )


def find_files(folder: Path, data_config: ml_collections.ConfigDict, notices: Notices) -> Files:
    """Finds the images and masks of a folder and matches them.

    Raises:
      ValueError: there is no known layout, or nothing matches.
    """
    layout = find_layout(folder, data_config.images, data_config.annotations, notices)
    if layout is None:
        inside = ", ".join(sorted(path.name for path in folder.iterdir())[:12]) or "nothing"
        raise ValueError(
            f"{printable(folder)} has {inside}; expected a folder of images and one of masks."
            f"{describe_unread(folder)} {ORIGIN}"
        )
    pairs, unlabeled, without_image, names = {}, {}, [], {}
    for split, part in layout.parts.items():
        matched, alone, masks = match(part, notices)
        start = f"{split}/" if split else ""
        without = {start + key: path for key, path in part.images.items() if path in set(alone)}
        pairs.update({start + key: both for key, both in matched.items()})
        unlabeled.update(without)
        without_image += masks
        names[split] = sorted([*(start + key for key in matched), *without])
    if not pairs:
        images = [path.name for part in layout.parts.values() for path in part.images.values()]
        masks = [path.name for part in layout.parts.values() for path in part.masks.values()]
        raise ValueError(
            f"no mask in {layout.places} has the name of an image: there are {len(images)} images such as "
            f"{', '.join(images[:2]) or 'none'} and {len(masks)} masks such as {', '.join(masks[:2]) or 'none'}. "
            f"{ORIGIN}"
        )
    return Files(layout, pairs, unlabeled, names, without_image)


def _choose(
    folder: Path, files: Files, data_config: ml_collections.ConfigDict, split: str, notices: Notices
) -> list[str]:
    """Returns the names of the images of a split that are trained on or scored, and counts the others."""
    unlabeled = data_config.unlabeled
    names = {
        part: [name for name in own if unlabeled == "background" or name in files.pairs]
        for part, own in files.names.items()
    }
    lists = folder_splits.find_lists(folder)
    if lists and split != folder_splits.ALL and data_config.split_seed is None:
        names = files.names  # A list may name images without a mask.
    chosen = folder_splits.choose(names, lists, data_config, split, notices)
    inside = set(chosen) if names is files.names else {name for own in files.names.values() for name in own}
    without = [path for name, path in files.unlabeled.items() if name in inside]
    note_unmatched(without, files.without_image, len(inside), unlabeled, notices)
    return [name for name in chosen if unlabeled == "background" or name in files.pairs]


def _checked_pairs(files: Files, data_config: ml_collections.ConfigDict) -> dict[str, CheckedPair]:
    """Returns all images with what was seen of them and of their masks, by name."""
    cache = Path(data_config.dir).expanduser() / "cache"
    images = {name: image for name, (image, _) in files.pairs.items()}
    if data_config.unlabeled == "background":
        images |= files.unlabeled
    headers = scan_images(list(images.values()), read_options(data_config), cache)
    masks = dict(zip(files.pairs, scan_masks([mask for _, mask in files.pairs.values()], cache), strict=True))
    return {
        name: CheckedPair(name, image, files.pairs[name][1] if name in masks else None, header, masks.get(name))
        for (name, image), header in zip(images.items(), headers, strict=True)
    }


def _are_instances(
    summaries: Sequence[MaskSummary],
    folder: Path,
    data_config: ml_collections.ConfigDict,
    notices: Notices,
    masks: Sequence[Path],
) -> bool:
    choice = data_config.masks
    if choice not in CHOICES:
        raise ValueError(f"config.data.masks is {choice!r}; expected one of {', '.join(CHOICES)}")
    if choice != "auto":
        return choice == "instances"
    listed = find_class_list([folder])
    found = bool(summaries) and (listed is None or len(listed.names) == 1) and instances.are_instances(summaries)
    if found:
        text = "hold instance numbers: one per object"
        remedy = "config.data.masks=classes takes them as classes"
        notices.add(text, "masks", masks[0], count=len(masks), remedy=remedy, is_problem=False)
    elif "border_weight" not in data_config:
        raise ValueError(
            f"the masks in {printable(folder)} hold classes; expected one number per object, as detectors need. Set "
            "config.data.masks=instances if they do, or train a semantic model"
        )
    return found


def _open_instances(
    own: Sequence[CheckedPair],
    pairs: Sequence[Pair],
    data_config: ml_collections.ConfigDict,
    notices: Notices,
    tolerance: int,
) -> Source:
    """Returns the source of masks with instance numbers: objects for detectors, and a label map with borders."""
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
    mark = fingerprint(pairs, f"instances {tuple(options)} {tolerance}", ORIGIN)
    palette = instances.PALETTE[: len(class_names)]
    return Source(records, class_names, palette, f"folder {mark}", catalogue, findings, image_files(pairs))


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

"""PASCAL VOC objects: ``SegmentationObject`` tells objects apart, ``SegmentationClass`` has their classes."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import ml_collections
import numpy as np

from jaxseg.data.image_checks import scan_cache, summarize_images
from jaxseg.data.image_scan import ImageSummary
from jaxseg.data.images import read_options
from jaxseg.data.instances.locating import find_images
from jaxseg.data.instances.splits import ALL, choose, find_part
from jaxseg.data.masks.class_lists import find_class_list
from jaxseg.data.masks.classes import decide
from jaxseg.data.masks.coding import Coding
from jaxseg.data.masks.decision import Decision
from jaxseg.data.masks.scan import MaskSummary, scan_masks
from jaxseg.data.report import Findings, Notices
from jaxseg.data.sources import voc
from jaxseg.data.sources.file_lists import source_folder
from jaxseg.data.sources.pair_checks import CheckedPair, check_sizes, files_of, leave_out_bad, readable_masks
from jaxseg.data.sources.voc_object_records import VocObjectRecords, count_objects
from jaxseg.data.text_files import read_lines
from jaxseg.types import IGNORE, Catalogue, Source

LISTS = "ImageSets/Segmentation"
ORIGIN = (
    "PASCAL VOC has JPEGImages, SegmentationClass, SegmentationObject and ImageSets/Segmentation with train.txt and "
    "val.txt; classes of your own are listed in labels.txt or labelmap.txt"
)


class Files(NamedTuple):
    """The files of one image."""

    image: Path
    classes: Path
    objects: Path


def open_split(data_config: ml_collections.ConfigDict, split: str) -> Source:
    """Opens the source ``voc_objects``: PASCAL VOC, or data in its layout, with objects.

    An object is a number in ``SegmentationObject``; its class is the one that most of its pixels have in
    ``SegmentationClass``. Splits are the lists in ``ImageSets/Segmentation``.

    Raises:
      ValueError: a file is missing or is not what it should be.
    """
    root = find_root(source_folder(data_config, ORIGIN))
    if root is None:
        raise ValueError(f"{Path(data_config.source_dir) / 'SegmentationObject'} is missing. {ORIGIN}")
    notices = Notices()
    files = _files(root)
    lists = {path.stem: read_lines(path) for path in sorted((root / LISTS).glob("*.txt"))} or {ALL: list(files)}
    part = find_part(list(lists), split, data_config)
    names = [_name(line, files) for place in part.places for line in lists[place]]
    lost = [name for name in names if name not in files]
    if lost:
        notices.add("of the list have no image or no mask and are left out", "images", lost[0], count=len(lost))
    chosen = choose({name: name for name in names if name in files}, part, data_config, notices)
    cache = scan_cache(data_config)
    headers = summarize_images([one.image for one in files.values()], data_config)
    class_masks = _pairs(files, headers, [one.classes for one in files.values()], cache)
    object_masks = _pairs(files, headers, [one.objects for one in files.values()], cache)
    both = [pair for name in chosen for pair in (class_masks[name], object_masks[name])]
    both = leave_out_bad(both, data_config.bad_files, notices)
    if not both:
        raise ValueError(f"{root} has no image with SegmentationObject in the split {split!r}. {ORIGIN}")
    check_sizes(both, data_config.tolerate_size_difference, notices)
    decision = _decide(root, readable_masks(class_masks.values()), notices)
    return _open(both[::2], both[1::2], decision, data_config, notices)


def find_root(folder: Path) -> Path | None:
    """Returns the folder with ``SegmentationObject``; None where there is none."""
    places = [folder, folder / "VOCdevkit/VOC2012", folder / "VOC2012", *sorted(folder.glob("VOCdevkit/*"))]
    return next((place for place in places if (place / "SegmentationObject").is_dir()), None)


_OFFICIAL = Coding(False, 1, False, (*range(len(voc.CLASS_NAMES)), IGNORE), (*range(len(voc.CLASS_NAMES)), IGNORE))


def _decide(root: Path, masks: Mapping[Path, MaskSummary], notices: Notices) -> Decision:
    """Returns what the class masks of all splits mean: PASCAL VOC's 20 classes, or classes of one's own."""
    listed = find_class_list([root, root.parent])
    if listed is None and _is_official(masks.values()):
        return Decision(_OFFICIAL, voc.CLASS_NAMES, np.array(list(voc.VOC.classes.values()), np.uint8))
    return decide(list(masks.values()), list(masks), listed, notices)


def _is_official(masks: Collection[MaskSummary]) -> bool:
    """Returns whether masks are indexed, have borders and no more values than PASCAL VOC's 20 classes."""
    values = {value for mask in masks for value in mask.values}
    kinds = {mask.kind for mask in masks}
    return kinds == {"indexed"} and IGNORE in values and values <= set(_OFFICIAL.keys)


def _pairs(
    files: Mapping[str, Files], headers: Sequence[ImageSummary], masks: Sequence[Path], cache: Path
) -> dict[str, CheckedPair]:
    """Returns each image with one of its masks and what was seen of both, by name."""
    rows = zip(files.items(), headers, masks, scan_masks(masks, cache), strict=True)
    return {name: CheckedPair(name, one.image, mask, header, summary) for (name, one), header, mask, summary in rows}


def _files(root: Path) -> dict[str, Files]:
    """Returns the files of all images that have both masks, by name."""
    images = {path.stem: path for path in find_images(root / "JPEGImages")}
    masks = [
        {path.stem: path for path in find_images(root / part)} for part in ("SegmentationClass", "SegmentationObject")
    ]
    return {
        name: Files(path, masks[0][name], masks[1][name])
        for name, path in images.items()
        if all(name in one for one in masks)
    }


def _name(line: str, files: Mapping[str, Files]) -> str:
    """Returns the name in a line of a list: the whole line, or its first word, without folder and ending."""
    whole = line.replace("\\", "/").rsplit("/", 1)[-1]
    candidates = (whole, Path(whole).stem, line.split()[0], Path(line.split()[0]).stem)
    return next((name for name in candidates if name in files), line)


def _open(
    class_masks: Sequence[CheckedPair],
    object_masks: Sequence[CheckedPair],
    decision: Decision,
    data_config: ml_collections.ConfigDict,
    notices: Notices,
) -> Source:
    names, palette = decision.class_names, decision.palette
    sizes = np.array([pair.image_summary.size for pair in object_masks], np.int32)
    counts = [count_objects(pair.mask_summary) for pair in object_masks if pair.mask_summary]
    catalogue = Catalogue(sizes, np.array(counts, np.int32), range(1, len(sizes) + 1), range(len(names)))
    findings = Findings(len(sizes), sizes, names, empty=counts.count(0), notices=notices.all())
    records = VocObjectRecords(
        files_of(class_masks),
        files_of(object_masks),
        decision.coding,
        read_options(data_config),
        data_config.tolerate_size_difference,
        bool(data_config.get("as_semantic")),
    )
    paths = [str(pair.image) for pair in object_masks]
    return Source(records, names, palette, "", catalogue, findings, paths)

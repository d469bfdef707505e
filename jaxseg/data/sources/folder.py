"""Data sets of one's own: images and masks in a folder, without a line of code."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import ml_collections

from jaxseg.data.image_checks import note_image, scan_cache, summarize_images
from jaxseg.data.images import printable
from jaxseg.data.masks.scan import scan_masks
from jaxseg.data.report import Notices
from jaxseg.data.sources import folder_classes, folder_instances, folder_splits
from jaxseg.data.sources.file_lists import source_folder
from jaxseg.data.sources.layouts import Layout, describe_unread, find_layout
from jaxseg.data.sources.matching import match
from jaxseg.data.sources.pair_checks import CheckedPair, check_sizes, leave_out_bad, note_unmatched, readable_masks
from jaxseg.types import Source

ORIGIN = (
    "A data set of your own has images/NAME.jpg, or another ending, and masks/NAME.png: a class number or a color per "
    "pixel; and, if you like, classes.txt with a class name per line, and train.txt, val.txt and test.txt with an "
    "image name per line. config.data.images and config.data.annotations name other folders"
)


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
    check_sizes(own, data_config.tolerate_size_difference, notices)
    for pair in own:
        note_image(pair.image, pair.image_summary, notices)
    masks = readable_masks(checked.values())
    if folder_instances.are_instances(masks, folder, data_config, notices):
        return folder_instances.open_instances(own, data_config, notices, ORIGIN)
    return folder_classes.open_classes(own, masks, folder, data_config, notices, ORIGIN)


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
    cache = scan_cache(data_config)
    images = {name: image for name, (image, _) in files.pairs.items()}
    if data_config.unlabeled == "background":
        images |= files.unlabeled
    headers = summarize_images(list(images.values()), data_config)
    masks = dict(zip(files.pairs, scan_masks([mask for _, mask in files.pairs.values()], cache), strict=True))
    return {
        name: CheckedPair(name, image, files.pairs[name][1] if name in masks else None, header, masks.get(name))
        for (name, image), header in zip(images.items(), headers, strict=True)
    }

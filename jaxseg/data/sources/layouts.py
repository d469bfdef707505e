"""Finds images and their masks in a folder, in the layouts in which people have them.

    images/ masks/                        flat, or nested per scene
    images/train masks/train ...          and val, test
    train/images train/masks ...
    train/ train_masks/ ...
    train/a.jpg train/a_mask.png ...      as Roboflow exports them; also without splits
    JPEGImages/ SegmentationClass/        PASCAL VOC, with lists in ImageSets/Segmentation

``IMAGE_FOLDERS``, ``MASK_FOLDERS`` and ``matching.SPLITS`` have the names that are known; capitals do not matter. Masks
have the names of their images, or all of them one of ``matching.SUFFIXES`` in addition.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from jaxseg.data.images import printable
from jaxseg.data.report import Notices
from jaxseg.data.sources.matching import ENDINGS, SPLITS, SUFFIXES, Part, list_images, walk_files
from jaxseg.data.text_files import composed

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "img_dir", "photos", "frames", "inputs", "input", "x")
MASK_FOLDERS = (
    *("segmentationclass", "masks", "mask", "labels", "label", "annotations", "annotation", "ann_dir", "ann", "annot"),
    *("gt", "groundtruth", "ground_truth", "targets", "target", "segmentations", "segmentation", "seg", "y"),
)
TEXT_ENDINGS = (".txt", ".json", ".xml", ".csv", ".yaml", ".yml", ".md")


class Layout(NamedTuple):
    """What a folder has.

    Attributes:
      parts: by split; the key "" has images that no folder divides.
      places: the folders of images and masks that were found, for messages.
    """

    parts: Mapping[str, Part]
    places: str


def find_layout(folder: Path, images: str, masks: str, notices: Notices) -> Layout | None:
    """Finds the images and masks of a folder; None where no known layout fits.

    Args:
      folder: the data set.
      images: ``config.data.images``, the image folder under ``folder`` with ``{split}``; "" searches for it.
      masks: ``config.data.annotations``, the mask folder likewise.
      notices: get the files that are passed over.
    """
    if images or masks:
        return _given(folder, images or "images", masks or "masks", notices)
    inside = _folders(folder)
    pair = _image_and_mask_folder(inside)
    if pair is not None:
        return _two_folders(*pair, notices)
    for find in (_split_folders, _sibling_folders, _scene_folders, _one_folder):
        layout = find(folder, inside, notices)
        if layout is not None:
            return layout
    return None


def split_of(name: str) -> str:
    """Returns the split that a name stands for, "" for none: "valid" and "Validation" are "val"."""
    return next((split for split, names in SPLITS.items() if name.lower() in names), "")


def describe_unread(folder: Path) -> str:
    """Returns a sentence about files in a folder with an ending that nothing reads, such as ``.npy``; "" for none."""
    files = [path for path in walk_files(folder) if not path.name.startswith(".")]
    unread = [path for path in files if path.suffix.lower() not in ("", *ENDINGS, *TEXT_ENDINGS)]
    if not unread:
        return ""
    return (
        f" {len(unread)} file(s), the first {printable(unread[0].relative_to(folder))}, have endings that are not "
        f"read: {', '.join(sorted({path.suffix.lower() for path in unread})[:5])}. Save masks as PNG, and images as "
        "PNG, JPEG or TIFF."
    )


def _given(folder: Path, images: str, masks: str, notices: Notices) -> Layout:
    if "{split}" not in images + masks:
        return _two_folders(_there(folder / images, "images"), _there(folder / masks, "annotations"), notices)
    parts, places = {}, f"{folder / images} and {folder / masks}"
    for split, names in SPLITS.items():
        for name in names:
            both = [folder / place.replace("{split}", name) for place in (images, masks)]
            if all(place.is_dir() for place in both):
                parts[split] = Part(*(list_images(place, notices) for place in both))
    if not parts:
        raise ValueError(
            f"config.data.images is {images} and config.data.annotations {masks}; expected folders in {folder}"
        )
    return Layout(parts, places)


def _there(folder: Path, field: str) -> Path:
    if not folder.is_dir():
        raise ValueError(f"config.data.{field} names {printable(folder)}; expected a folder in config.data.source_dir")
    return folder


def _two_folders(images: Path, masks: Path, notices: Notices) -> Layout:
    """Returns the layout of a folder of images and one of masks, which may both have a folder per split."""
    places = f"{printable(images)} and {printable(masks)}"
    splits = [{split_of(name): path for name, path in _folders(place).items()} for place in (images, masks)]
    common = [split for split in SPLITS if all(split in of for of in splits)]
    is_divided = common and all(
        len(names) == len(_folders(place)) for names, place in zip(splits, (images, masks), strict=True)
    )
    if not is_divided:
        return Layout({"": Part(list_images(images, notices), list_images(masks, notices))}, places)
    return Layout({split: Part(*(list_images(of[split], notices) for of in splits)) for split in common}, places)


def _split_folders(folder: Path, inside: Mapping[str, Path], notices: Notices) -> Layout | None:
    """Returns the layout of folders ``train``, ``val`` and ``test`` that have images and masks in them."""
    parts = {}
    for name, place in inside.items():
        pair = _image_and_mask_folder(_folders(place)) if split_of(name) else None
        if pair is not None:
            parts[split_of(name)] = Part(*(list_images(one, notices) for one in pair))
        elif split_of(name) and (mixed := _mixed(place, notices)) is not None:
            parts[split_of(name)] = mixed
    return Layout(parts, f"{printable(folder)}/{{{','.join(parts)}}}") if parts else None


def _sibling_folders(folder: Path, inside: Mapping[str, Path], notices: Notices) -> Layout | None:
    """Returns the layout of folders such as ``train`` and ``train_masks``."""
    parts = {}
    for name, place in inside.items():
        images = next((name.removesuffix(f"_{end}") for end in IMAGE_FOLDERS if name.endswith(f"_{end}")), name)
        others = [inside[f"{images}_{end}"] for end in MASK_FOLDERS if f"{images}_{end}" in inside]
        others += [inside[f"{images}{end}"] for end in MASK_FOLDERS if f"{images}{end}" in inside]
        if split_of(images) and others:
            parts[split_of(images)] = Part(list_images(place, notices), list_images(others[0], notices))
    return Layout(parts, printable(folder)) if parts else None


def _scene_folders(folder: Path, inside: Mapping[str, Path], notices: Notices) -> Layout | None:
    """Returns the layout of folders with any names that each have images and masks in them."""
    whole = Part({}, {})
    for place in inside.values():
        pair = _image_and_mask_folder(_folders(place))
        for paths, found in zip(whole, pair or (), strict=False):
            scene = composed(place.name)
            paths.update({f"{scene}/{key}": path for key, path in list_images(found, notices).items()})
    return Layout({"": whole}, printable(folder)) if whole.images else None


def _one_folder(folder: Path, inside: Mapping[str, Path], notices: Notices) -> Layout | None:
    """Returns the layout of images and masks in one folder, told apart by a suffix of the masks."""
    del inside
    mixed = _mixed(folder, notices)
    return None if mixed is None else Layout({"": mixed}, printable(folder))


def _mixed(folder: Path, notices: Notices) -> Part | None:
    passed_over = Notices()
    files = list_images(folder, passed_over) if _has_images(folder) else {}
    for suffix in SUFFIXES[1:]:
        masks = {key: path for key, path in files.items() if key.endswith(suffix)}
        if masks and any(key.removesuffix(suffix) in files for key in masks):
            notices.extend(passed_over)
            return Part({key: path for key, path in files.items() if key not in masks}, masks)
    return None


def _has_images(folder: Path) -> bool:
    return any(path.suffix.lower() in ENDINGS for path in folder.iterdir())


def _image_and_mask_folder(inside: Mapping[str, Path]) -> tuple[Path, Path] | None:
    images = next((inside[name] for name in IMAGE_FOLDERS if name in inside), None)
    # PASCAL VOC's Annotations, for example, has no masks in it.
    named = [inside[name] for name in MASK_FOLDERS if name in inside]
    masks = next((place for place in named if any(path.suffix.lower() in ENDINGS for path in walk_files(place))), None)
    return (images, masks) if images and masks else None


def _folders(folder: Path) -> dict[str, Path]:
    """Returns the folders in a folder by their names in small letters; hidden ones are left out."""
    return {
        entry.name.lower(): Path(entry.path)
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name)
        if entry.is_dir() and not entry.name.startswith(".")
    }

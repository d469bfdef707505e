"""Lists the images of a folder, and matches images and masks by their names."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxseg.data.images import printable
from jaxseg.data.masks.class_lists import CLASSES, CVAT, LABELS, ROBOFLOW
from jaxseg.data.report import Notices
from jaxseg.data.text_files import composed

SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
SUFFIXES = ("", "_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_segmentation", "_annotation", "-mask", "_m")
IMAGE_SUFFIXES = ("", "_image", "_img", "_sat", "_rgb")
ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"),
    *(".pnm", ".jp2", ".avif", ".heic", ".heif"),
)

# Text files that say something about the images; they are not counted as passed over.
KNOWN = (CLASSES, CVAT, ROBOFLOW, LABELS, *(f"{name}.txt" for names in SPLITS.values() for name in names))


class Part(NamedTuple):
    """Images and masks of one split, or of all; as paths by key, see ``list_images``."""

    images: dict[str, Path]
    masks: dict[str, Path]


def list_images(folder: Path, notices: Notices) -> dict[str, Path]:
    """Lists the image files of a folder and its subfolders by key, sorted.

    A key is the path relative to the folder without the ending, with composed letters and slashes.

    Raises:
      ValueError: two files have the same key.
    """
    found: dict[str, Path] = {}
    for path in walk_files(folder):
        ending = path.suffix.lower()
        if path.name.startswith(".") or ending not in ENDINGS:
            if path.name.lower() not in KNOWN:
                notices.add("that are no images are passed over", "files", path)
            continue
        key = composed(path.relative_to(folder).as_posix()[: -len(path.suffix)])
        if key in found:
            raise ValueError(
                f"{printable(found[key])} and {printable(path)} have the same name without the ending; expected one "
                "file per name. Rename or remove one of them"
            )
        found[key] = path
    return found


def match(part: Part, notices: Notices) -> tuple[dict[str, tuple[Path, Path]], list[Path], list[Path]]:
    """Matches images and masks by their names.

    All masks have one of ``SUFFIXES``, or the whole name of the image as in ``a.jpg.png``. The choice with the most
    matches counts. Where no path matches, the names without their folders decide, if they are unique.

    Returns:
      (image, mask) by the key of the image, images without a mask, and masks without an image.
    """
    best: dict[str, str] = {}
    for image_suffix in IMAGE_SUFFIXES:
        stems = {key.removesuffix(image_suffix): key for key in part.images if key.endswith(image_suffix)}
        for to_stem in _stem_functions():
            fits = {stems[stem]: key for key in part.masks if (stem := to_stem(key)) in stems}
            best = fits if len(fits) > len(best) else best
        if len(best) == min(len(part.images), len(part.masks)):
            break
    if not best and part.images and part.masks:
        flat = [{key.rsplit("/", 1)[-1]: path for key, path in paths.items()} for paths in part]
        nested = any("/" in key for paths in part for key in paths)
        if nested and all(len(short) == len(paths) for short, paths in zip(flat, part, strict=True)):
            return match(Part(*flat), notices)
    used = set(best.values())
    pairs = {key: (part.images[key], part.masks[best[key]]) for key in sorted(best)}
    return (
        pairs,
        [path for key, path in part.images.items() if key not in best],
        [path for key, path in part.masks.items() if key not in used],
    )


def _stem_functions() -> list:
    def without(suffix: str):
        return lambda key: key.removesuffix(suffix) if key.endswith(suffix) else None

    def without_inner_ending(key: str) -> str | None:
        stem, dot, ending = key.rpartition(".")
        return stem if dot + ending.lower() in ENDINGS else None

    def without_prefix(key: str) -> str | None:
        folder, slash, name = key.rpartition("/")
        return folder + slash + name.removeprefix("mask_") if name.startswith("mask_") else None

    return [*(without(suffix) for suffix in SUFFIXES), without_inner_ending, without_prefix]


def walk_files(folder: Path) -> Sequence[Path]:
    """Returns all files in a folder and in its subfolders that are not hidden, sorted."""
    found = []
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place) / name for name in files]
    return sorted(found)

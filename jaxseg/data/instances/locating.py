"""The image files that annotations name: found under several folders, and checked by their headers."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import ml_collections

from jaxseg.data.image_checks import check_images
from jaxseg.data.report import Notices

Size = tuple[int, int]
WAYS = ("error", "skip")
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".jfif", ".gif", ".ppm", ".pgm", ".heic", ".avif")


class ImageEntry(NamedTuple):
    """An image that an annotation file names.

    Attributes:
      number: its id.
      file_name: with slashes, relative to a folder.
      size: (height, width) that the annotations are for; None where the file does not say.
    """

    number: int
    file_name: str
    size: Size | None


def locate(
    images: Sequence[ImageEntry],
    folders: Sequence[Path],
    data_config: ml_collections.ConfigDict,
    notices: Notices,
    remedy: str = "",
) -> dict[int, Path]:
    """Returns the file of each image by its number.

    A name that is in none of the folders is looked for below the data set's folder: by the end of its path, as
    absolute paths of another machine need it. It is taken where only one file has this name.

    Args:
      images: of a split.
      folders: where they may be, the most likely first.
      data_config: ``config.data``; ``missing`` says what happens to images that are not found.
      notices: gets the number of images that are left out.
      remedy: a sentence for errors.

    Raises:
      ValueError: a file is missing, and ``config.data.missing`` is "error".
    """
    chosen = data_config.missing
    if chosen not in WAYS:
        raise ValueError(f"config.data.missing is {chosen!r}; expected one of {', '.join(WAYS)}.")
    listed: dict[Path, set[str]] = {}
    paths = {image.number: _in_folders(image.file_name, folders, listed) for image in images}
    lost = [image for image in images if paths[image.number] is None]
    if lost:
        anywhere = _by_name(Path(data_config.source_dir).expanduser())
        for image in lost:
            paths[image.number] = _by_end(image.file_name, anywhere)
    lost = [image for image in lost if paths[image.number] is None]
    if lost and chosen == "error":
        expected = next(
            (folder for folder in folders if any(path.is_relative_to(folder) for path in paths.values() if path)),
            folders[0],
        )
        first = expected / lost[0].file_name
        raise ValueError(
            f"{first} is missing, the first of {len(lost)} image(s) that are; the annotations have it as image "
            f"{lost[0].number}. Set config.data.missing=skip to leave them out. {remedy}".strip()
        )
    for image in lost:
        notices.add("have no image file and are left out", "images", image.file_name, of=len(images))
    return {number: path for number, path in paths.items() if path is not None}


def check_sizes(
    images: Sequence[ImageEntry], paths: Mapping[int, Path], data_config: ml_collections.ConfigDict, notices: Notices
) -> dict[int, Size]:
    """Returns the size of each image that can be read, upright or as stored, whichever the annotations are for.

    Args:
      images: of a split.
      paths: the file of each image that has one, by its number.
      data_config: ``config.data``, see ``image_checks.check_images``.
      notices: get what is unusual about the files.

    Raises:
      ValueError: a file cannot be read, or has another size than its annotations are for.
    """
    found = check_images(paths, data_config, notices)
    sizes, wrong = {}, []
    for image in images:
        if image.number not in found:
            continue
        path, summary = paths[image.number], found[image.number]
        if image.size is None:
            notices.add("have no width and height in the annotations, and get those of their files", "images", path)
        elif image.size not in (summary.size, summary.stored_size):
            wrong.append((path, summary.size, image))
        sizes[image.number] = image.size or summary.size
    if wrong:
        path, (height, width), image = wrong[0]
        raise ValueError(
            f"{path} is {width}x{height}; image {image.number} of the annotations expects "
            f"{image.size[1]}x{image.size[0]}. It is the first of {len(wrong)} image(s) with another size. Use the "
            "images that were annotated, or correct width and height in the annotations and scale the coordinates."
        )
    return sizes


def find_images(folder: Path) -> list[Path]:
    """Returns the image files below a folder in order; hidden files and folders are passed over."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent, name) for name in sorted(names) if is_image(name)]
    return found


def is_image(name: str) -> bool:
    """Returns whether a file name is that of an image."""
    return name.lower().endswith(IMAGES) and not name.startswith(".")


def _in_folders(name: str, folders: Sequence[Path], listed: dict[Path, set[str]]) -> Path | None:
    """Returns the path of a file in the first folder that has it; folders are listed once, which is faster."""
    for folder in folders:
        path = folder / name
        if path.parent not in listed:
            listed[path.parent] = set(os.listdir(path.parent)) if path.parent.is_dir() else set()
        if path.name in listed[path.parent]:
            return path
    return None


def _by_name(folder: Path) -> dict[str, list[Path]]:
    """Returns the images below a folder by their names."""
    found: dict[str, list[Path]] = {}
    for path in find_images(folder):
        found.setdefault(path.name, []).append(path)
    return found


def _by_end(name: str, anywhere: Mapping[str, list[Path]]) -> Path | None:
    """Returns the one file with a path that ends like a name; None where there is none or more than one."""
    candidates = anywhere.get(name.rsplit("/", 1)[-1], [])
    for start in range(name.count("/") + 1):
        end = "/" + name.split("/", start)[-1]
        fitting = [path for path in candidates if path.as_posix().endswith(end)]
        if len(fitting) == 1:
            return fitting[0]
    return None

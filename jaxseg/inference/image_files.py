"""The image files that people name: single files, and all images in folders."""

import pathlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from PIL import Image

PREDICTIONS = "predictions.json"  # A folder with this file has earlier outputs.
OUTPUT = re.compile(r".+_(mask|overlay|confidence|probability_.+)\.(png|tif)|.+_probabilities\.npy|.+\.json")

# Formats that Pillow lists, but that need other programs or hold no photographs.
NO_IMAGES = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "MPEG", "WMF"}

# Endings of formats that Pillow reads with a plug-in, and the package of the plug-in.
PLUGINS = {".heic": "pillow-heif", ".heif": "pillow-heif", ".jxl": "pillow-jxl-plugin"}


class Listing(NamedTuple):
    """The images among some files and folders.

    Attributes:
      paths: in order.
      skipped: what was left out, with the number of files per reason.
    """

    paths: list[pathlib.Path]
    skipped: Counter[str]

    @property
    def note(self) -> str:
        """Describes what was left out in one line, or ""."""
        parts = [f"{count} {reason}" for reason, count in sorted(self.skipped.items())]
        return f"left out: {', '.join(parts)}" if parts else ""


def find(inputs: Iterable[str]) -> list[pathlib.Path]:
    """Returns the image files that inputs name, see ``list_images``."""
    return list_images(inputs).paths


def list_images(inputs: Iterable[str | pathlib.Path]) -> Listing:
    """Lists the image files that inputs name.

    A file is listed with any ending. From a folder and its subfolders, the files with an ending of an image are
    listed. Hidden files and folders are left out, and so are earlier outputs of jaxseg.

    Raises:
      ValueError: an input does not exist, or a folder has no image.
    """
    paths: list[pathlib.Path] = []
    skipped: Counter[str] = Counter()
    for given in (pathlib.Path(one).expanduser() for one in inputs):
        if not given.exists():
            raise ValueError(f"--input {given} does not exist")
        if given.is_file():
            paths.append(given)
            continue
        found = list(_images_in(given, skipped))
        if not found:
            note = Listing([], skipped).note
            raise ValueError(f"--input {given} has no image in it{f' ({note})' if note else ''}")
        paths += found
    return Listing(paths, skipped)


def endings() -> set[str]:
    """Returns the endings of files that Pillow reads, its plug-ins among them, such as ".jpg"."""
    Image.init()
    readable = set(Image.OPEN) - NO_IMAGES
    return {ending for ending, name in Image.registered_extensions().items() if name in readable}


def _images_in(folder: pathlib.Path, skipped: Counter[str]) -> Iterator[pathlib.Path]:
    known = endings()
    files: list[pathlib.Path] = []
    for path in folder.rglob("*"):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            skipped["hidden"] += path.is_file()
        elif path.is_file():
            files.append(path)
    with_outputs = {path.parent for path in files if path.name == PREDICTIONS}
    for path in sorted(files):
        ending = path.suffix.lower()
        if path.parent in with_outputs and (path.name == PREDICTIONS or OUTPUT.fullmatch(path.name)):
            skipped["earlier outputs"] += 1
        elif ending in known:
            yield path
        elif ending in PLUGINS:
            skipped[f"{ending} (pip install {PLUGINS[ending]} reads them)"] += 1
        else:
            skipped[f"{ending or 'without an ending'}"] += 1

"""YOLO segmentation: ``data.yaml`` with class names, and a text file of polygons per image."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_collections

from jaxseg.data.coco.reading import Annotation, AnnotationReader
from jaxseg.data.image_checks import check_images
from jaxseg.data.instances.annotated import classes_of, open_annotated
from jaxseg.data.instances.annotated_records import AnnotatedImage
from jaxseg.data.instances.locating import find_images
from jaxseg.data.instances.splits import ALL, NAMES, choose, find_part
from jaxseg.data.report import Notices
from jaxseg.data.sources.file_lists import source_folder
from jaxseg.data.text_files import read_lines, read_text
from jaxseg.types import Source

ORIGIN = (
    "A YOLO data set has data.yaml with the class names, images/train and images/val, and labels/train and labels/val "
    "with a text file per image: per object a line with the class and the corners of its polygon, in 0..1"
)
MOST_CLASSES = 10_000  # without names
BOX = 4  # numbers of a line that is a box: center, width and height


def open_split(data_config: ml_collections.ConfigDict, split: str) -> Source:
    """Opens the source ``yolo``: images, and polygons in text files, in ``config.data.source_dir``.

    Splits are those of ``data.yaml``, or the folders ``images/SPLIT`` or ``SPLIT/images``. An image without a text
    file has no objects. A line with four numbers is a box without a mask.

    Raises:
      ValueError: a file is missing or is not what it should be.
    """
    folder = source_folder(data_config, ORIGIN)
    settings = read_settings(folder)
    found = find_splits(folder, settings)
    if not found:
        raise ValueError(f"{folder} has no folder of images. {ORIGIN}")
    notices = Notices()
    part = find_part(list(found), split, data_config)
    paths = {str(path): path for place in part.places for path in found[place]}
    chosen = choose(paths, part, data_config, notices)
    categories = class_names(folder, settings, chosen)
    reader = AnnotationReader(categories, notices, has_boxes=False)
    numbered = dict(enumerate(chosen, start=1))
    images = []
    for number, summary in check_images(numbered, data_config, notices).items():
        path, size = numbered[number], summary.size
        read = (reader.read(entry, number, entry["category_id"], size) for entry in _entries(path, size, notices))
        images.append(AnnotatedImage(number, path.stem, path, size, [one for one in read if one is not None]))
    return open_annotated(images, classes_of(categories), data_config, notices)


def settings_file(folder: Path) -> Path | None:
    """Returns the YAML file that names the classes; None where there is none."""
    named = [folder / name for name in ("data.yaml", "data.yml", "dataset.yaml")]
    others = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    return next((path for path in [*named, *others] if path.is_file() and "names" in _load(path)), None)


def read_settings(folder: Path) -> dict[str, Any]:
    """Returns the content of ``data.yaml``; empty where there is none."""
    path = settings_file(folder)
    return _load(path) if path else {}


def find_splits(folder: Path, settings: Mapping[str, Any]) -> dict[str, list[Path]]:
    """Returns the images of each split; "all" without splits."""
    found = {}
    for split in (name for names in NAMES.values() for name in names):
        given = settings.get(split) or []
        images = [path for place in (given if isinstance(given, list) else [given]) for path in _images(folder, place)]
        for place in (f"images/{split}", f"{split}/images"):
            images = images or find_images(folder / place)
        if images:
            found[split] = images
    if not found and (folder / "labels").is_dir():
        images = find_images(folder / "images") or find_images(folder)
        found = {ALL: images} if images else {}
    return found


def class_names(folder: Path, settings: Mapping[str, Any], images: list[Path]) -> dict[int, str]:
    """Returns the name of each class by number: of ``data.yaml``, of ``classes.txt``, or the number itself.

    Raises:
      ValueError: no class is named or used.
    """
    names = settings.get("names") or []
    lists = [folder / name for name in ("classes.txt", "labels/classes.txt") if (folder / name).is_file()]
    if not names and lists:
        names = read_lines(lists[0])
    if isinstance(names, dict):
        try:
            return {int(number): str(name) for number, name in sorted(names.items(), key=lambda item: int(item[0]))}
        except (TypeError, ValueError):
            keys = ", ".join(map(str, names))
            raise ValueError(f"{settings_file(folder)} has names for {keys}; expected a name per number") from None
    if not names:
        names = [f"class {number}" for number in range(_count_classes(images))]
    if not names:
        raise ValueError(f"{folder} names no classes. {ORIGIN}")
    return dict(enumerate(map(str, names)))


def _count_classes(images: list[Path]) -> int:
    """Returns the number of classes that text files use, without lines that start with no number.

    Raises:
      ValueError: a class has so high a number that it is a mistake.
    """
    count = 0
    for path in images:
        for line in _lines(path) or ():
            try:
                number = int(float(line.split()[0]))
            except (ValueError, OverflowError):
                continue
            if number >= MOST_CLASSES:
                raise ValueError(f"{label_path(path)} has the class {number}; expected less than {MOST_CLASSES}")
            count = max(count, number + 1)
    return count


def label_path(image: Path) -> Path:
    """Returns the text file of an image: ``labels`` in place of the last ``images`` of its path, or next to it.

    Example:
      >>> label_path(Path("pets/images/train/a.jpg")).as_posix()
      'pets/labels/train/a.txt'
    """
    parts = list(image.parts)
    if "images" in parts[:-1]:
        parts[len(parts) - 2 - parts[-2::-1].index("images")] = "labels"
    return Path(*parts).with_suffix(".txt")


def _load(path: Path) -> dict[str, Any]:
    import yaml  # only this format needs it

    try:
        content = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is not YAML ({reason}); expected the settings of a YOLO data set") from error
    return content if isinstance(content, dict) else {}


def _images(folder: Path, place: str) -> Iterator[Path]:
    """Yields the images that ``data.yaml`` names: a folder, or a list of files.

    Paths in ``data.yaml`` are often those of another machine or start with ``../``; their ends are tried.
    """
    parts = [part for part in str(place).replace("\\", "/").split("/") if part not in ("", ".", "..")]
    ends = [folder.joinpath(*parts[start:]) for start in range(len(parts))]
    chosen = next((path for path in ends if path.is_dir() or path.is_file()), None)
    if chosen is None:
        return
    if chosen.is_dir():
        yield from find_images(chosen)
        return
    for line in read_text(chosen).splitlines():
        if line.strip():
            yield from (
                _images(folder, line.strip()) if not (folder / line.strip()).is_file() else [folder / line.strip()]
            )


def _lines(image: Path) -> list[str] | None:
    """Returns the lines of an image's text file; None where there is none."""
    path = label_path(image)
    if not path.is_file():
        return None
    return read_lines(path)


def _entries(image: Path, size: tuple[int, int], notices: Notices) -> Iterator[Annotation]:
    """Yields the objects of an image as annotations in COCO's form."""
    lines = _lines(image)
    if lines is None:
        notices.add("have no label file and count as images without objects", "images", image)
    height, width = size
    for place, line in enumerate(lines or ()):
        entry: Annotation = {"id": f"{label_path(image).name}:{place + 1}", "category_id": None}
        try:
            category, *numbers = (float(number) for number in line.split())
            entry["category_id"] = int(category)
        except (ValueError, OverflowError):  # no number, or an infinite class
            numbers = []
        if len(numbers) == BOX:
            x, y, w, h = numbers
            entry["bbox"] = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
        else:
            entry["segmentation"] = [[number * (height if i % 2 else width) for i, number in enumerate(numbers)]]
            entry["bbox"] = None
        yield entry

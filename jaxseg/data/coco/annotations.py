"""Annotation files in COCO's format: categories, images, and the annotations of each image."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxseg.data.coco.reading import Annotation, AnnotationReader
from jaxseg.data.instances.locating import ImageEntry
from jaxseg.data.report import Notices

Size = tuple[int, int]
Key = int | str  # an id as the file has it, with text and floats that are whole numbers as numbers

PARTS = ("images", "annotations", "categories")
TEXT_IDS = "have ids that are text or floats, which are read"


class AnnotationFile(NamedTuple):
    """An annotation file with annotations that are not checked yet.

    Attributes:
      path: the file.
      categories: the name of each category by its number, in the order of numbers.
      images: in the order of the file.
      entries: the annotations of each image by its number, as the file has them.
      category_numbers: the number of each category by its id.
      from_cvat: whether CVAT has written the file. It marks brush masks with ``iscrowd``.
    """

    path: Path
    categories: Mapping[int, str]
    images: list[ImageEntry]
    entries: Mapping[int, list[Annotation]]
    category_numbers: Mapping[Key, int]
    from_cvat: bool

    def annotations(self, images: Iterable[ImageEntry], notices: Notices) -> list[list[Annotation]]:
        """Returns what can be used of the annotations of images, see ``AnnotationReader``; their sizes are known."""
        reader = AnnotationReader(self.categories, notices)
        found = []
        for image in images:
            read = (
                reader.read(
                    entry, image.number, self.category_numbers.get(key_of(entry.get("category_id"))), image.size
                )
                for entry in self.entries.get(image.number, ())
            )
            found.append([annotation for annotation in read if annotation is not None])
        return found


def read_annotations(path: Path, notices: Notices) -> AnnotationFile:
    """Reads an annotation file.

    Raises:
      ValueError: it is not in COCO's format, or images or categories contradict each other.
    """
    content = load(path)
    entries = content["annotations"]
    categories, numbers = _categories(content, path, notices)
    images, image_numbers = _images(content["images"], path, notices)
    by_image = defaultdict(list)
    for entry in entries:
        number = image_numbers.get(key_of(entry.get("image_id")))
        if number is None:
            notices.add("are left out: their image_id is that of no image", "annotations", str(entry.get("id")))
        else:
            by_image[number].append(entry)
    times = Counter(str(entry.get("id")) for entry in entries if "id" in entry)
    if len(times) < len(entries):
        repeated = [number for number, count in times.items() if count > 1]
        if repeated:
            notices.add(
                "share their id with another annotation; all are kept", "annotations", repeated[0], count=len(repeated)
            )
    odd = [
        entry
        for entry in entries
        if isinstance(entry.get("image_id"), str | float) or isinstance(entry.get("category_id"), str | float)
    ]
    if odd:
        notices.add(TEXT_IDS, "annotations", str(odd[0].get("id")), count=len(odd))
    from_cvat = bool(entries) and all("occluded" in (entry.get("attributes") or ()) for entry in entries)
    return AnnotationFile(path, categories, images, by_image, numbers, from_cvat)


def key_of(value: Any) -> Key | None:
    """Returns an id as a whole number where it is one, written as text or as a float too.

    Example:
      >>> [key_of(value) for value in (7, "7", 7.0, "a1", None)]
      [7, 7, 7, 'a1', None]
    """
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else str(value)
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        return int(number) if number.is_integer() else value
    return None


def load(path: Path) -> dict[str, Any]:
    """Reads the JSON of an annotation file.

    Raises:
      ValueError: it is not JSON, or lacks one of the three lists.
    """
    try:
        # What is not a number comes as None, which no check lets pass.
        content = json.loads(path.read_bytes(), parse_constant=lambda name: None)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}); expected annotations in COCO's format") from error
    whole = isinstance(content, dict) and all(isinstance(content.get(part), list) for part in PARTS)
    if not whole or not all(isinstance(entry, dict) for part in PARTS for entry in content[part]):
        raise ValueError(f"{path} is not in COCO's format; expected the lists {', '.join(PARTS)}")
    return content


def _numbered(keys: list[Key]) -> dict[Key, int]:
    """Returns a number for each id: itself where all are whole numbers, otherwise its place from 1."""
    if all(isinstance(key, int) for key in keys):
        return {key: key for key in keys}
    return {key: place for place, key in enumerate(dict.fromkeys(keys), start=1)}


def _categories(content: dict[str, Any], path: Path, notices: Notices) -> tuple[dict[int, str], dict[Key, int]]:
    """Returns the names of categories by number, and their numbers by id; empty root categories are left out."""
    entries, names = content["categories"], {}
    for entry in entries:
        key, name = key_of(entry.get("id")), entry.get("name")
        if key is None or not isinstance(name, str):
            raise ValueError(f"{path}: the category {entry} has not both an id, a whole number, and a name")
        if key in names:
            raise ValueError(f"{path}: the categories {names[key]!r} and {name!r} have the same id {key}")
        names[key] = name
    for key in _roots(entries, content["annotations"]):
        notices.add("are left out: a root category without objects", "categories", names.pop(key))
    for key in _repeated(names, content["annotations"], path):
        notices.add(
            "are left out: another one has the same name, and they have no objects", "categories", names.pop(key)
        )
    if not names:
        raise ValueError(f"{path} has no categories; expected one for each class of objects")
    numbers = _numbered(list(names))
    return dict(sorted((numbers[key], name) for key, name in names.items())), numbers


def _roots(entries: list[dict[str, Any]], annotations: list[Annotation]) -> list[Key]:
    """Returns the categories that only group the others, as Roboflow writes one, and have no annotation."""
    above = [entry.get("supercategory") for entry in entries if entry.get("supercategory") != entry.get("name")]
    suspects = [key_of(entry.get("id")) for entry in entries if entry.get("name") in above]
    if not suspects or len(suspects) == len(entries):
        return []
    used = {key_of(annotation.get("category_id")) for annotation in annotations}
    return [key for key in suspects if key not in used]


def _repeated(names: Mapping[Key, str], annotations: list[Annotation], path: Path) -> list[Key]:
    """Returns the categories without objects that share their name with another one, as some exports have them.

    Raises:
      ValueError: two categories with objects have the same name.
    """
    used = {key_of(annotation.get("category_id")) for annotation in annotations}
    left_out = []
    for name in dict.fromkeys(names.values()):
        same = [key for key in names if names[key] == name]
        kept = [key for key in same if key in used] or same[-1:]  # a root category comes first
        if len(kept) > 1:
            raise ValueError(
                f"{path}: the categories {kept[0]} and {kept[1]} have the same name {name!r}; expected one category "
                "per name. Rename one of them, or give their annotations the same category_id"
            )
        left_out += [key for key in same if key not in kept]
    return left_out


def _images(entries: list[dict[str, Any]], path: Path, notices: Notices) -> tuple[list[ImageEntry], dict[Key, int]]:
    """Returns the images, and their numbers by id; entries of the same file are joined."""
    keys = [key_of(entry.get("id")) for entry in entries]
    for entry, key in zip(entries, keys, strict=True):
        if key is None or not isinstance(entry.get("file_name"), str):
            raise ValueError(f"{path}: the image {entry} has not both an id, a whole number, and a file_name")
    numbers = _numbered(keys)
    images, by_file = {}, {}
    for entry, key in zip(entries, keys, strict=True):
        name, size = normal_name(entry["file_name"]), _size(entry, path)
        if name != entry["file_name"]:
            notices.add(
                "have a file_name with back-slashes, a drive or ../, which is read", "images", entry["file_name"]
            )
        number = numbers[key]
        if number in images and images[number].file_name != name:
            raise ValueError(f"{path}: image {key}, {name}, has the id of another image, {images[number].file_name}")
        if name in by_file:
            if size not in (None, by_file[name].size):
                raise ValueError(f"{path}: image {key}, {name}, stands there twice, with different sizes")
            notices.add("stand there more than once; their annotations are joined", "images", name)
            numbers[key] = by_file[name].number
            continue
        images[number] = by_file[name] = ImageEntry(number, name, size)
    return list(images.values()), numbers


def normal_name(file_name: str) -> str:
    r"""Returns a file name as a path relative to a folder.

    Example:
      >>> normal_name("..\\..\\data\\a b.jpg")
      'data/a b.jpg'
      >>> normal_name("C:\\photos\\1.jpg")
      'photos/1.jpg'
    """
    name = file_name.replace("\\", "/")
    if "://" in name:
        name = name.split("://", 1)[1].split("?", 1)[0].partition("/")[2]
    if name[1:3] == ":/":
        name = name[3:]
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    return "/".join(parts)


def _size(entry: dict[str, Any], path: Path) -> Size | None:
    """Returns (height, width) of an image; None where it is not given."""
    size = tuple(key_of(entry.get(side)) for side in ("height", "width"))
    if size == (None, None):
        return None
    if not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(
            f"{path}: image {entry['id']}, {entry['file_name']}, has height and width {size}; expected whole numbers"
        )
    return size

"""Where annotation files in COCO's format and their images are found, and which of the images are of a split."""

import os
from collections.abc import Sequence
from pathlib import Path

import ml_collections
from PIL import Image as PillowImage

from jaxseg.data.coco.annotations import AnnotationFile, Image
from jaxseg.data.splits import divide

# Where annotations and images are looked for: as COCO itself has them, then as annotation programs write them.
FILES = (
    "annotations/instances_{split}2017.json",
    "annotations/instances_{split}.json",
    "{split}/_annotations.coco.json",
    "{split}.json",
)
FOLDERS = ("{split}2017", "{split}", "images/{split}", "images", ".")
# The same where there is one file for all images, which config.data.split_seed divides.
UNDIVIDED = (
    "annotations/instances_default.json",
    "annotations/instances_all.json",
    "_annotations.coco.json",
    "annotations.json",
    "result.json",
)
ORIGIN = (
    "COCO's images and annotations are at https://cocodataset.org, to be unpacked side by side as train2017/, val2017/ "
    "and annotations/. A data set of your own in COCO's format has train/ and val/ with the images and "
    "annotations/instances_train.json and instances_val.json; or config.data.annotations and config.data.images say "
    "where they are"
)


def annotation_path(folder: Path, data_config: ml_collections.ConfigDict, split: str) -> Path:
    usual = UNDIVIDED if data_config.split_seed is not None else FILES
    places = (data_config.annotations,) if data_config.annotations else usual
    paths = [folder / place.replace("{split}", split) for place in places]
    found = [path for path in paths if path.is_file()]
    if not found:
        raise ValueError(f"{' or '.join(map(str, paths))} is missing. {ORIGIN}")
    return found[0]


def chosen_images(file: AnnotationFile, data_config: ml_collections.ConfigDict, split: str) -> list[Image]:
    """The images of a split."""
    if data_config.split_seed is None or split == "all":
        return file.images
    parts = divide([image.file_name for image in file.images], data_config.val_fraction, data_config.split_seed)
    if split not in parts:
        raise ValueError(f"with config.data.split_seed there is no split {split!r}; expected train, val or all")
    chosen = set(parts[split])
    return [image for image in file.images if image.file_name in chosen]


def image_paths(
    folder: Path, file: AnnotationFile, images: list[Image], data_config: ml_collections.ConfigDict, split: str
) -> tuple[Path, ...]:
    """The files of the images.

    Raises:
      ValueError: one of them is missing.
    """
    places = (data_config.images,) if data_config.images else FOLDERS
    folders = [folder / place.replace("{split}", split) for place in places] + [file.path.parent]
    having = [place for place in folders if (place / images[0].file_name).is_file()]
    chosen = having[0] if having else folders[0]
    paths = tuple(chosen / image.file_name for image in images)
    # Folders are listed, for to ask for each of 118,287 files takes longer.
    listed = {parent: set(os.listdir(parent)) for parent in {path.parent for path in paths} if parent.is_dir()}
    missing = [i for i, path in enumerate(paths) if path.name not in listed.get(path.parent, ())]
    if missing:
        image = images[missing[0]]
        concerned = [entry.get("id") for entry in file.annotations.get(image.number, [])]
        raise ValueError(
            f"{paths[missing[0]]} is missing, the first of {len(missing)} image(s) that are; {file.path} has it as "
            f"image {image.number} with the annotation(s) {concerned}. {ORIGIN}"
        )
    return paths


def check_headers(paths: Sequence[Path], images: Sequence[Image]) -> None:
    """Sees that each image has the size for which it is annotated, as it lies or turned upright."""
    for path, image in zip(paths, images, strict=True):
        try:
            with PillowImage.open(path) as opened:
                width, height = opened.size
                turned = opened.getexif().get(0x0112, 1) >= 5
        except (OSError, SyntaxError) as error:
            raise ValueError(f"{path} cannot be decoded ({error}); expected a whole image file") from error
        if image.size not in ((height, width), (width, height) if turned else (height, width)):
            raise ValueError(
                f"{path} is {width}x{height}; image {image.number} of the annotations expects "
                f"{image.size[1]}x{image.size[0]}"
            )

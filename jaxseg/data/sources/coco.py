"""COCO (Lin et al., Microsoft COCO, ECCV 2014), and anybody's own data in its format."""

import ml_collections

from jaxseg.data.coco.annotations import AnnotationFile, read_annotations
from jaxseg.data.coco.files import ORIGIN, annotation_files, image_folders
from jaxseg.data.instances.annotated import classes_of, open_annotated
from jaxseg.data.instances.annotated_records import AnnotatedImage
from jaxseg.data.instances.locating import ImageEntry, check_sizes, locate
from jaxseg.data.instances.splits import choose, find_part, names_of
from jaxseg.data.report import Notices
from jaxseg.data.sources.file_lists import source_folder
from jaxseg.types import Source

ELSEWHERE = "If the images are elsewhere, set config.data.images=FOLDER."


def open_split(data_config: ml_collections.ConfigDict, split: str) -> Source:
    """Opens the source ``coco``: an annotation file and a folder of images in ``config.data.source_dir``.

    The file is ``config.data.annotations`` and the folder ``config.data.images``; ``{split}`` in them is replaced by
    the name of the split. Where they are empty, the usual places are searched: those of COCO, Roboflow, CVAT and Label
    Studio. Splits are called like the files; ``valid`` and ``validation`` are ``val`` too. One file for all images, or
    one without a validation split, is divided at random.

    A file with the 80 categories of COCO itself keeps their numbers, so that weights of detectors trained on COCO fit.
    The categories of any other file are numbered from 1 in the order of their ids. ``catalogue`` has the ids.

    A record's tags are ``image_id`` and ``annotation_ids``, one per object.

    Raises:
      ValueError: a file is missing or is not what it should be.
    """
    folder = source_folder(data_config, ORIGIN)
    files = annotation_files(folder, data_config, split)
    part = find_part(list(files), split, data_config)
    images: list[AnnotatedImage] = []
    notices, categories, from_cvat = Notices(), {}, False
    for place in part.places:
        file = read_annotations(files[place], notices)
        if categories and file.categories != categories:
            raise ValueError(f"{file.path} has other categories than {files[part.places[0]]}; expected the same")
        categories, from_cvat = file.categories, file.from_cvat
        named = choose({image.file_name: image for image in file.images}, part, data_config, notices)
        folders = image_folders(folder, file.path, data_config, dict.fromkeys([place, *names_of(place), split]))
        images += _annotated(file, named, folders, data_config, notices)
    if not images:
        raise ValueError(f"{files[part.places[0]]} has no image of the split {split}")
    return open_annotated(images, classes_of(categories), data_config, notices, marks_masks=from_cvat)


def _annotated(
    file: AnnotationFile,
    images: list[ImageEntry],
    folders: list,
    data_config: ml_collections.ConfigDict,
    notices: Notices,
) -> list[AnnotatedImage]:
    """Returns the images of a file that are used, with their annotations."""
    paths = locate(images, folders, data_config, notices, ELSEWHERE)
    sizes = check_sizes(images, paths, data_config, notices)
    images = [image._replace(size=sizes[image.number]) for image in images if image.number in sizes]
    annotations = file.annotations(images, notices)
    return [
        AnnotatedImage(
            image.number, image.file_name.rsplit("/", 1)[-1].rsplit(".", 1)[0], paths[image.number], image.size, own
        )
        for image, own in zip(images, annotations, strict=True)
    ]

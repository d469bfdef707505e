"""Cityscapes (Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR 2016).

Street scenes of 50 cities, 2048x1024, with fine label maps: 2,975 for training and 500 for validation.
"""

from pathlib import Path

import ml_collections

from jaxseg.data.images import read_options
from jaxseg.data.sources.file_lists import check_split, source_folder
from jaxseg.data.sources.pairs import DataSet, Pair, open_pairs
from jaxseg.types import IGNORE, Source

# The classes that are trained and scored, by train id: the id of each in the label files, and its official color.
CLASSES = {
    "road": (7, (128, 64, 128)),
    "sidewalk": (8, (244, 35, 232)),
    "building": (11, (70, 70, 70)),
    "wall": (12, (102, 102, 156)),
    "fence": (13, (190, 153, 153)),
    "pole": (17, (153, 153, 153)),
    "traffic light": (19, (250, 170, 30)),
    "traffic sign": (20, (220, 220, 0)),
    "vegetation": (21, (107, 142, 35)),
    "terrain": (22, (152, 251, 152)),
    "sky": (23, (70, 130, 180)),
    "person": (24, (220, 20, 60)),
    "rider": (25, (255, 0, 0)),
    "car": (26, (0, 0, 142)),
    "truck": (27, (0, 0, 70)),
    "bus": (28, (0, 60, 100)),
    "train": (31, (0, 80, 100)),
    "motorcycle": (32, (0, 0, 230)),
    "bicycle": (33, (119, 11, 32)),
}
IDS = 34  # from 0, "unlabeled"; a license plate is -1, which 8 bits make 255
IMAGE_ENDING, LABEL_ENDING = "_leftImg8bit.png", "_gtFine_labelIds.png"
CITYSCAPES = DataSet(
    name="cityscapes",
    classes={name: color for name, (_, color) in CLASSES.items()},
    values=dict.fromkeys((*range(IDS), 255), IGNORE)
    | {number: train_id for train_id, (number, _) in enumerate(CLASSES.values())},
    origin="Cityscapes needs a registration at https://www.cityscapes-dataset.com: unpack "
    "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip into one folder",
)
SPLITS = {"train": ("train",), "val": ("val",), "trainval": ("train", "val")}


def open_split(data_config: ml_collections.ConfigDict, split: str) -> Source:
    """Opens the source ``cityscapes``: ``leftImg8bit/SPLIT/CITY/*_leftImg8bit.png`` with fine label maps in ``gtFine``.

    Splits are ``train``, ``val``, and ``trainval`` for both. The labels of the test images are kept from the public;
    their predictions are scored by the authors' server.

    Raises:
      ValueError: a file is missing.
    """
    check_split("cityscapes", split, SPLITS)
    folder = source_folder(data_config, CITYSCAPES.origin)
    return open_pairs(
        CITYSCAPES, [pair for part in SPLITS[split] for pair in _pairs_of(folder, part)], read_options(data_config)
    )


def _pairs_of(folder: Path, part: str) -> list[Pair]:
    images = sorted((folder / "leftImg8bit" / part).glob(f"*/*{IMAGE_ENDING}"))
    if not images:
        raise ValueError(f"{folder}/leftImg8bit/{part}/CITY/*{IMAGE_ENDING} are missing. {CITYSCAPES.origin}")
    names = [image.name.removesuffix(IMAGE_ENDING) for image in images]
    labels = folder / "gtFine" / part
    return [
        Pair(name, image, labels / image.parent.name / f"{name}{LABEL_ENDING}")
        for name, image in zip(names, images, strict=True)
    ]

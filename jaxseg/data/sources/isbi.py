"""ISBI 2012, neuronal structures in electron microscopy (Arganda-Carreras et al. 2015): the U-Net paper's own task.

Thirty consecutive slices of one volume, 512x512 pixels, in which membranes separate cells.
"""

import ml_collections

from jaxseg.data.images import read_options
from jaxseg.data.sources.file_lists import check_split, source_folder
from jaxseg.data.sources.pairs import DataSet, open_pairs, pairs_by_stem
from jaxseg.types import Source

ISBI = DataSet(
    name="isbi",
    classes={"membrane": (20, 20, 30), "cell": (240, 220, 190)},
    values={0: 0, 255: 1},
    origin="The 30 training slices of the ISBI 2012 challenge as image/0.png to image/29.png and label/0.png to "
    "label/29.png are at https://github.com/zhixuhao/unet (data/membrane/train), those of the challenge "
    "at https://imagej.net/events/isbi-2012-segmentation-challenge as two TIFF stacks",
)
VALIDATION = 5  # slices, as many as there are left of 30 when 25 are for training
SPLITS = {"train": slice(None, -VALIDATION), "val": slice(-VALIDATION, None), "all": slice(None)}


def open_split(data_config: ml_collections.ConfigDict, split: str) -> Source:
    """Opens the source ``isbi``: slices ``image/N.png``, and ``label/N.png`` with 255 for cells and 0 for membranes.

    ``val`` is the last five slices, ``train`` those before, ``all`` both. Neighboring slices look alike, so those
    chosen at random would be easier.

    Raises:
      ValueError: a file is missing or not named by its number.
    """
    check_split("isbi", split, SPLITS)
    folder = source_folder(data_config, ISBI.origin)
    slices = pairs_by_stem(folder / "image", folder / "label", ISBI.origin)
    odd = [pair.image for pair in slices if not pair.name.isdecimal()]
    if odd:
        raise ValueError(f"{odd[0]} is not named by the number of its slice. {ISBI.origin}")
    slices.sort(key=lambda pair: int(pair.name))
    return open_pairs(ISBI, slices[SPLITS[split]], read_options(data_config))

"""COCO's images with label maps of VOC's 21 classes, the data on which torchvision's semantic models were trained.

The rules are those of torchvision's ``references/segmentation/coco_utils.py``: objects of other categories are
background, pixels of two or more objects are ignored, and crowd regions count as objects.
"""

from collections.abc import Sequence

import ml_collections
import numpy as np

from jaxseg.data.coco import rle
from jaxseg.data.coco.classes import CLASS_NAMES
from jaxseg.data.instances.annotated_records import AnnotatedRecords
from jaxseg.data.sources import coco
from jaxseg.data.sources.voc import VOC
from jaxseg.types import IGNORE, Record, Source

# The category of COCO that each class of VOC is, in VOC's order; 0 is the background.
CATEGORIES = (0, 5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63, 7, 72)
LEAST_AREA = 1000  # Pixels that the objects of a training image have at least, all together.


class LabelMaps(Sequence):
    """Records of COCO with label maps in place of objects.

    Args:
      records: those of the source ``coco``.
      indices: which of them are used.
    """

    def __init__(self, records: AnnotatedRecords, indices: Sequence[int]):
        self.records = records
        self.indices = indices
        self.images = AnnotatedRecords(records.images, {}, records.options)  # without objects

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Record:
        number = self.indices[index]
        record = self.images[number]
        return Record(record.name, record.image, label_map(self.records.annotations(number), record.image.shape[:2]))

    def size(self, index: int) -> tuple[int, int]:
        """Returns height and width of an image as its annotations say."""
        return self.records.images[self.indices[index]].size


def open_split(data_config: ml_collections.ConfigDict, split: str) -> Source:
    """Opens the source ``coco_voc``: files and splits are those of the source ``coco``, with COCO's own categories.

    The split ``train`` leaves out images with less than 1000 pixels of VOC's classes, as torchvision's recipe does.

    Raises:
      ValueError: a file is missing or is not what it should be, or it has other categories than COCO.
    """
    source = coco.open_split(data_config, split)
    if source.class_names != CLASS_NAMES:
        raise ValueError(f"{data_config.source_dir} has other categories than COCO; expected those for coco_voc.")
    indices = [
        index
        for index in range(len(source.records))
        if split != "train" or _area(source.records.annotations(index)) > LEAST_AREA
    ]
    records = LabelMaps(source.records, indices)
    palette = np.array(list(VOC.classes.values()), np.uint8)
    files = tuple(str(source.records.images[index].path) for index in indices)
    return Source(records, tuple(VOC.classes), palette, files=files, size_of=records.size)


def label_map(annotations: list[dict], size: tuple[int, int]) -> np.ndarray:
    """Returns the classes of pixels, uint8 ``[h, w]``; ``IGNORE`` where objects overlap."""
    known = [entry for entry in annotations if entry["category_id"] in CATEGORIES and "segmentation" in entry]
    masks = rle.decode([rle.encode_segmentation(entry["segmentation"], size) for entry in known], size)
    label = np.zeros(size, np.uint8)
    for entry, mask in zip(known, masks, strict=True):
        label[mask > 0] = CATEGORIES.index(entry["category_id"])
    label[masks.sum(axis=0, dtype=np.int32) > 1] = IGNORE
    return label


def _area(annotations: list[dict]) -> float:
    """Returns the summed area of the objects that have a class of VOC."""
    return sum(entry["area"] for entry in annotations if entry["category_id"] in CATEGORIES)

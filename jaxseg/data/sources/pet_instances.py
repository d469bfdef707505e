"""Oxford-IIIT Pet as objects: each trimap becomes one pet, and perhaps its head."""

from collections.abc import Sequence
from typing import Protocol

import ml_collections
import numpy as np

from jaxseg.data.colors import distinct_colors
from jaxseg.data.geometry import boxes_of_masks, occupied
from jaxseg.types import Catalogue, Objects, Record, Source

BACKGROUND = 1  # in the label maps of oxford_pets
SPECIES = ("cat", "dog")
HEAD = "head"


class SizedRecords(Protocol):
    """Records with label maps and with sizes that are known before decoding."""

    positions: Sequence[int]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Record: ...

    def size(self, index: int) -> tuple[int, int]: ...


def as_instances(records: SizedRecords, names: Sequence[str], data_config: ml_collections.ConfigDict) -> Source:
    """Pets as objects of the class that ``config.data.instances`` says: "species" or "breed".

    The mask of a pet is all of the trimap that is not background: the pet and its border, which is where annotators
    were unsure (fur, mostly), so that the mask reaches the pet's true outline; its box is the mask's. With
    ``config.data.heads``, the head is a second object where its box is known: the box is the annotators', the mask the
    pet's within it.

    Args:
      records: of a split.
      names: of all images of all splits: breeds are numbered in their order.
      data_config: ``config.data``.
    """
    breeds = tuple(sorted({name.rsplit("_", 1)[0] for name in names}))
    choices = {"species": SPECIES, "breed": breeds}
    if data_config.instances not in choices:
        raise ValueError(f"config.data.instances is {data_config.instances!r}; oxford_pets knows species and breed")
    class_names = ("background", *choices[data_config.instances], *([HEAD] if data_config.heads else []))
    sizes = np.array([records.size(index) for index in range(len(records))], np.int32)
    counts = np.full(len(records), 1 + data_config.heads, np.int32)
    image_ids = tuple(position + 1 for position in records.positions)
    return Source(
        PetInstances(records, data_config.instances, class_names),
        class_names,
        np.concatenate([np.zeros((1, 3), np.uint8), distinct_colors(len(class_names) - 1)]),
        catalogue=Catalogue(sizes, counts, image_ids, range(len(class_names))),
    )


class PetInstances(Sequence):
    """The records with objects instead of label maps.

    Args:
      records: with label maps.
      tag: the one that says a pet's class.
      class_names: one a class; heads are objects if there is a class for them.
    """

    def __init__(self, records: Sequence[Record], tag: str, class_names: tuple[str, ...]):
        self.records = records
        self.tag = tag
        self.class_names = class_names

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Record:
        record = self.records[index]
        masks = (record.label != BACKGROUND).astype(np.uint8)[None]
        boxes, classes = boxes_of_masks(masks), [self.class_names.index(record.tags[self.tag])]
        head = record.tags["head_box"]
        if HEAD in self.class_names and head is not None:
            masks = np.concatenate([masks, _within(masks, head)])
            height, width = record.label.shape
            boxes = np.concatenate([boxes, np.clip(head, 0, [width, height, width, height])[None]])
            classes.append(self.class_names.index(HEAD))
        seen = occupied(masks)
        objects = Objects(boxes.astype(np.float32), np.array(classes, np.int32), masks, np.zeros(len(masks), bool))
        return record._replace(label=None, objects=Objects(*(field[seen] for field in objects)))


def _within(masks: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Returns the part of masks ``[m, h, w]`` within a box, rounded to whole pixels."""
    x1, y1, x2, y2 = np.rint(np.maximum(box, 0)).astype(int)
    inside = np.zeros_like(masks)
    inside[:, y1:y2, x1:x2] = masks[:, y1:y2, x1:x2]
    return inside

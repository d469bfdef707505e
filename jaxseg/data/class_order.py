"""One order of classes for all splits: those of the training split, matched by name."""

from collections.abc import Sequence

import numpy as np

from jaxseg.data.coco.classes import UNUSED
from jaxseg.types import IGNORE, Record, Source


def match_classes(source: Source, class_names: Sequence[str], split: str) -> Source:
    """Returns a source with the classes of another split or of a run, in their order.

    Classes that the source lacks have no object and no pixel in it. Categories keep the ids that its own file gives
    them.

    Args:
      source: a split.
      class_names: one per class of the training split.
      split: name of the split, for messages.

    Raises:
      ValueError: the source has classes that ``class_names`` does not have.
    """
    if tuple(source.class_names) == tuple(class_names):
        return source
    places = {name: place for place, name in enumerate(class_names) if name != UNUSED}
    unknown = [name for name in source.class_names if name != UNUSED and name not in places]
    if unknown or len(places) < sum(name != UNUSED for name in class_names):
        raise ValueError(
            f"the classes of the split {split!r} are {', '.join(map(repr, unknown))} in addition to those of the "
            f"training split; expected some of {', '.join(map(repr, places))}. Rename them in its file."
            if unknown
            else f"the training split has several classes of the same name: {', '.join(class_names)}. Rename them."
        )
    table = np.array([places.get(name, 0) for name in source.class_names])
    palette = np.zeros((len(class_names), 3), np.uint8)
    palette[table] = source.palette
    fingerprint = source.fingerprint and f"{source.fingerprint} {table.tolist()}"
    records = MatchedRecords(source.records, table)
    changed = source._replace(records=records, class_names=tuple(class_names), palette=palette, fingerprint=fingerprint)
    if source.catalogue is None:
        return changed
    ids = _category_ids(source.catalogue.category_ids, table, len(class_names))
    return changed._replace(catalogue=source.catalogue._replace(category_ids=ids))


class MatchedRecords(Sequence):
    """Records with other class numbers.

    Args:
      records: of a source.
      table: the new number of each class.
    """

    def __init__(self, records: Sequence[Record], table: np.ndarray):
        self.records = records
        self.table = table

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Record:
        record = self.records[index]
        if record.label is not None:
            numbers = np.full(IGNORE + 1, IGNORE, np.uint8)
            numbers[: len(self.table)] = self.table
            record = record._replace(label=numbers[record.label])
        if record.objects is not None:
            classes = self.table[record.objects.classes].astype(np.int32)
            record = record._replace(objects=record.objects._replace(classes=classes))
        return record


def _category_ids(ids: Sequence[int], table: np.ndarray, count: int) -> tuple[int, ...]:
    """Returns the category of each class; classes that the source lacks get unused numbers."""
    unused = max([0, *map(int, ids)]) + 1
    found = {int(place): int(number) for place, number in zip(table, ids, strict=True)}
    return tuple(found.get(place, unused + place) for place in range(count))

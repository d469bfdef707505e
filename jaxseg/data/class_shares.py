"""Share of each class in a split of any data set, from some of its images, evenly spread."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from jaxseg.data.naming import named_errors
from jaxseg.data.report import Findings, findings_of
from jaxseg.data.statistics import THREADS, spread
from jaxseg.types import IGNORE, Source

MOST_COUNTED = 48  # images that are read before a run


def count_classes(source: Source, task: str, most: int = MOST_COUNTED) -> Findings:
    """Returns what a source found in its files, with counts per class where it did not look.

    Counts are those of pixels for semantic models, and of objects for detectors. They come from at most ``most``
    images; ``counted`` says how many.

    Args:
      source: the split.
      task: ``config.task``.
      most: largest number of images that are read.

    Raises:
      ValueError: an image that is read is damaged.
    """
    found = findings_of(source)
    if found.shares or found.objects:
        return found
    chosen, classes = spread(len(source.records), most).tolist(), len(source.class_names)

    def count(index: int) -> np.ndarray | None:
        with named_errors(source.files, index):
            record = source.records[index]
        if task == "instances":
            own = record.objects
            return None if own is None else np.bincount(own.classes[~own.crowd], minlength=classes)
        return None if record.label is None else np.bincount(record.label.ravel(), minlength=IGNORE + 1)[:classes]

    with ThreadPoolExecutor(THREADS) as pool:
        counts = [one for one in pool.map(count, chosen) if one is not None]
    total = np.sum(counts, axis=0) if counts else np.zeros(classes, int)
    if not total.any():
        return found
    if task == "instances":
        return found._replace(objects=tuple(total.tolist()), counted=len(counts))
    return found._replace(shares=tuple((total / total.sum()).tolist()), counted=len(counts))


def has_labeled_pixel(source: Source) -> bool:
    """Returns whether a split has a pixel to score. It stops at the first one, mostly in the first image.

    Sources that have looked at all masks are not read again.

    Raises:
      ValueError: an image is damaged, or has no label map.
    """
    found = findings_of(source)
    if found.shares and not found.counted:
        return any(found.shares)
    for index in range(len(source.records)):
        with named_errors(source.files, index):
            label = source.records[index].label
            if label is None:
                raise ValueError("there is no label map, which semantic models need")
        if (label != IGNORE).any():
            return True
    return False

"""Sizes of the images of a source, and groups of images that share a padded size."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from jaxseg.data.resize import MULTIPLE, Size
from jaxseg.types import Source

THREADS = 8
MOST_KINDS = 200  # Sizes that are compared with one another when groups are formed.
GROUPS = 4  # Padded sizes of an evaluation; one program is compiled for each.

_known: dict[str, np.ndarray] = {}


def image_sizes(source: Source) -> np.ndarray:
    """Returns height and width of each image of a source, int32 ``[n, 2]``.

    A source that does not know them has its images decoded once. The sizes of a source with a fingerprint are kept.
    """
    if source.catalogue is not None:
        return np.asarray(source.catalogue.sizes, np.int32)
    if source.fingerprint and source.fingerprint in _known:
        return _known[source.fingerprint]
    size_of = source.size_of or (lambda index: source.records[index].image.shape[:2])
    with ThreadPoolExecutor(THREADS) as threads:
        sizes = list(threads.map(size_of, range(len(source.records))))
    sizes = np.array(sizes, np.int32).reshape(-1, 2)
    if source.fingerprint:
        _known[source.fingerprint] = sizes
    return sizes


def group_by_size(sizes: np.ndarray, most: int = GROUPS) -> list[np.ndarray]:
    """Divides images into few groups, so that padding all images of a group to one size wastes little.

    Groups are merged in pairs, from one group per size on: always those two that need the least additional pixels.

    Args:
      sizes: int ``[n, 2]``, height and width of each image.
      most: largest number of groups.

    Returns:
      The numbers of the images of each group, each in rising order.

    >>> [group.tolist() for group in group_by_size(np.array([[32, 64], [64, 32], [32, 60], [33, 64]]), 2)]
    [[0, 2], [1, 3]]
    """
    if len(sizes) == 0:
        return []
    multiple = MULTIPLE
    while True:
        kinds, kind_of, counts = np.unique(-(-sizes // multiple), axis=0, return_inverse=True, return_counts=True)
        if len(kinds) <= MOST_KINDS:
            break
        multiple *= 2
    groups = _merge(kinds.astype(np.int64), counts.astype(np.int64), most)
    members = [np.flatnonzero(np.isin(kind_of.ravel(), group)) for group in groups]
    return sorted(members, key=lambda images: int(images[0]))


def padded_size(sizes: np.ndarray) -> Size:
    """Returns the (height, width) that images ``[n, 2]`` are padded to: their own if they are equal, else multiples."""
    height, width = map(int, sizes.max(axis=0))
    if (sizes == sizes[:1]).all():
        return height, width
    return -(-height // MULTIPLE) * MULTIPLE, -(-width // MULTIPLE) * MULTIPLE


def _merge(kinds: np.ndarray, counts: np.ndarray, most: int) -> Sequence[list[int]]:
    """Returns at most ``most`` groups of the rows of ``kinds [n, 2]``, which occur ``counts`` times each."""
    groups = [[number] for number in range(len(kinds))]
    while len(groups) > most:
        pixels = counts * kinds.prod(axis=1)
        joint = np.maximum(kinds[:, None], kinds[None]).prod(axis=-1)
        cost = joint * (counts[:, None] + counts[None]) - pixels[:, None] - pixels[None]
        first, second = np.unravel_index(np.argmin(cost + np.eye(len(cost), dtype=np.int64) * 2**62), cost.shape)
        keep = np.arange(len(kinds)) != second
        kinds[first] = np.maximum(kinds[first], kinds[second])
        counts[first] += counts[second]
        groups[first] += groups[second]
        kinds, counts, groups = kinds[keep], counts[keep], [groups[number] for number in np.flatnonzero(keep)]
    return groups

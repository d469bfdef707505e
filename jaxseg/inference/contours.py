"""Masks as polygons along the edges of pixels."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

CANDIDATES = 64  # points among which the nearest one is searched when two rings are joined
TOLERANCE = 1.0  # Pixels that a simplified outline may be away from the exact one.


class Polygon(NamedTuple):
    """One connected part of a mask, in pixels: x to the right, y down, pixel (0, 0) reaches from 0 to 1.

    Attributes:
      outline: float ``[n, 2]``, the outer ring; it is not closed by a repeated point.
      holes: rings within it.
    """

    outline: np.ndarray
    holes: tuple[np.ndarray, ...] = ()


def polygons_of(mask: np.ndarray, tolerance: float = TOLERANCE) -> list[Polygon]:
    """Returns the parts of a mask, bool ``[h, w]``, largest first.

    Args:
      mask: bool ``[h, w]``.
      tolerance: pixels that outlines may differ from the exact ones; 0 keeps every corner.

    >>> mask = np.zeros((4, 5), bool)
    >>> mask[1:3, 1:4] = True
    >>> sorted(map(tuple, polygons_of(mask)[0].outline.tolist()))
    [(1.0, 1.0), (1.0, 3.0), (4.0, 1.0), (4.0, 3.0)]
    """
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    part = mask[y : y + height, x : x + width].astype(np.uint8)
    if not part.size:
        return []
    # Each pixel is enlarged to 2 x 2. Its first row and column then lie at its lower edge, the second at its upper one.
    found, tree = cv2.findContours(part.repeat(2, axis=0).repeat(2, axis=1), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if tree is None:
        return []
    rings = [_simplify((ring[:, 0] + 1) // 2 + np.array([x, y]), tolerance) for ring in found]
    around = tree[0, :, 3].tolist()  # the ring around each ring, -1 for outlines
    holes: dict[int, list[np.ndarray]] = {number: [] for number, outer in enumerate(around) if outer == -1}
    for ring, outer in zip(rings, around, strict=True):
        if outer != -1:
            holes[outer].append(ring)
    parts = [Polygon(rings[number], tuple(inner)) for number, inner in holes.items()]
    return sorted(parts, key=lambda part: -cv2.contourArea(part.outline.astype(np.float32)))


def _simplify(ring: np.ndarray, tolerance: float) -> np.ndarray:
    """Returns a ring without repeated points, points on straight lines, and corners below the tolerance."""
    ring = ring[np.any(ring != np.roll(ring, 1, axis=0), axis=1)]
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    ring = ring[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
    simple = cv2.approxPolyDP(ring.astype(np.float32)[:, None], tolerance, True)[:, 0] if tolerance else ring
    return np.asarray(simple if len(simple) >= 3 else ring, float)


def join_rings(polygon: Polygon, *others: Polygon) -> np.ndarray:
    """Returns one ring for polygons with holes and for several parts, connected by lines without width.

    Formats with one ring per object need this. Each ring hangs on a point of another one, see ``_attachments``. The
    time is proportional to the number of points, so that masks with noise are written as well.

    Returns:
      float ``[n, 2]``.
    """
    rings = [ring for one in (polygon, *others) for ring in (one.outline, *one.holes)]
    root, starts, hanging = _attachments(rings)
    pieces: list[np.ndarray] = []
    tours = [_tour(rings[root], hanging[root])]
    while tours:
        piece = next(tours[-1], None)
        if piece is None:
            tours.pop()
        elif isinstance(piece, int):
            closed = np.concatenate([rings[piece], rings[piece][:1]])
            turned = np.concatenate([closed[starts[piece] : -1], closed[: starts[piece] + 1]])
            places = [((place - starts[piece]) % len(rings[piece]), ring) for place, ring in hanging[piece]]
            tours.append(_tour(turned, places))
        else:
            pieces.append(piece)
    return np.concatenate(pieces)


def _tour(ring: np.ndarray, hanging: list[tuple[int, int]]) -> Iterator[np.ndarray | int]:
    """Yields the points of a ring, and in between the numbers of rings that hang on it: (place, ring)."""
    before = 0
    for place, other in sorted(hanging):
        yield ring[before : place + 1]
        yield other
        before = place
    yield ring[before:]


def _attachments(rings: Sequence[np.ndarray]) -> tuple[int, list[int], list[list[tuple[int, int]]]]:
    """Finds where each ring hangs on another one.

    All points are put in one order that keeps near points together. A ring hangs by its first point on one of the
    points before, which belong to rings that start earlier. The rings therefore form a tree.

    Returns:
      The number of the ring that hangs on none; the place of each ring's first point; and what hangs on each ring, as
      pairs of a place in this ring and the number of the other ring.
    """
    points = np.concatenate(rings)
    owners = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    places = np.concatenate([np.arange(len(ring)) for ring in rings])
    order = np.argsort(z_order(points), kind="stable")
    firsts = np.unique(owners[order], return_index=True)[1]
    hanging: list[list[tuple[int, int]]] = [[] for _ in rings]
    for ring, first in enumerate(firsts):
        if first:
            before = order[max(0, first - CANDIDATES) : first]
            nearest = before[np.abs(points[before] - points[order[first]]).sum(axis=1).argmin()]
            hanging[owners[nearest]].append((int(places[nearest]), ring))
    return int(firsts.argmin()), places[order[firsts]].tolist(), hanging


def z_order(points: np.ndarray) -> np.ndarray:
    """Returns the places of points ``[n, 2]``, not negative, on the Z-order curve (Morton, 1966), uint64 ``[n]``.

    The bits of both whole coordinates alternate, so that near points get near places.

    >>> z_order(np.array([[0, 0], [1, 0], [0, 1], [3, 3]])).tolist()
    [0, 1, 2, 15]
    """
    codes = points.astype(np.uint64)
    for shift, bits in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        codes = (codes | codes << np.uint64(shift)) & np.uint64(bits)
    return codes[:, 0] | codes[:, 1] << np.uint64(1)

"""Masks as polygons along the edges of pixels."""

from typing import NamedTuple

import cv2
import numpy as np

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
    parts = []
    for number, ring in enumerate(rings):
        if tree[0, number, 3] == -1:
            holes = tuple(hole for i, hole in enumerate(rings) if tree[0, i, 3] == number)
            parts.append(Polygon(ring, holes))
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

    Formats with one ring per object need this.
    """
    ring = polygon.outline
    for other in (*polygon.holes, *(part for one in others for part in (one.outline, *one.holes))):
        distances = np.abs(ring[:, None] - other[None]).sum(axis=-1)
        here, there = np.unravel_index(distances.argmin(), distances.shape)
        turned = np.roll(other, -there, axis=0)
        ring = np.concatenate([ring[: here + 1], turned, turned[:1], ring[here:]])
    return ring

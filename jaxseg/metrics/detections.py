"""Detections of an image as entries of a COCO results file, with masks in the image's own pixels."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from jaxseg.data.coco import rle


def to_coco_results(instances: Any, size: tuple[int, int], category_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Returns the instances of one image as entries of a COCO results file without the image's id, best first.

    Args:
      instances: numpy arrays ``boxes [d, 4]``, in original pixels, ``scores [d]``, ``classes [d]``, ``valid [d]``, and
        ``masks [d, n, n]``, probabilities within each box.
      size: the image's height and width.
      category_ids: the category id of each class.

    Example:
      >>> from types import SimpleNamespace
      >>> one = {"boxes": np.array([[2, 0, 6, 4]]), "scores": [0.9], "classes": [1], "valid": [True]}
      >>> instances = SimpleNamespace(**one, masks=np.ones((1, 4, 4)))
      >>> (entry,) = to_coco_results(instances, size=(6, 8), category_ids=[0, 17])
      >>> entry["category_id"], entry["bbox"], entry["score"]
      (17, [2.0, 0.0, 4.0, 4.0], 0.9)
    """
    results, masks = [], _padded(instances.masks)
    for slot in np.flatnonzero(instances.valid):
        box = np.asarray(instances.boxes[slot], np.float32)
        x1, y1, x2, y2 = (float(side) for side in box)
        part, corner = _visible_part(masks[slot], box, size)
        results.append(
            {
                "category_id": int(category_ids[int(instances.classes[slot])]),
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "score": float(instances.scores[slot]),
                "segmentation": rle.encode_within(part >= 0.5, corner, size),
            }
        )
    return results


def paste_mask(probabilities: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pastes one mask ``[n, n]`` into its image, float32 ``[h, w]``, as ``ops.masks.paste_masks`` does on the device.

    Example:
      >>> image = paste_mask(np.ones((4, 4)), np.array([2.0, 0.0, 6.0, 4.0]), size=(6, 8))
      >>> (image >= 0.5).sum(axis=0).tolist()  # columns 2 to 6, rows 0 to 4
      [0, 0, 5, 5, 5, 5, 5, 0]
    """
    part, (top, left) = paste_part(probabilities, box, size)
    image = np.zeros(size, np.float32)
    image[top : top + part.shape[0], left : left + part.shape[1]] = part
    return image


def paste_part(probabilities: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """Returns the part of a pasted mask around its box, float32 ``[h, w]``, and its upper left corner in the image.

    Example:
      >>> part, corner = paste_part(np.ones((4, 4)), np.array([2.0, 0.0, 6.0, 4.0]), size=(6, 8))
      >>> part.shape, corner  # rows 0 to 5 and columns 1 to 7
      ((6, 7), (0, 1))
    """
    return _visible_part(_padded(probabilities[None])[0], box, size)


def _padded(masks: np.ndarray) -> np.ndarray:
    """Pads masks ``[d, n, n]`` with 0 on all sides, so that they end softly."""
    return np.pad(np.asarray(masks, np.float32), ((0, 0), (1, 1), (1, 1)))


def _visible_part(padded: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """Resizes a padded mask to its box and crops it to the image; returns ``[h, w]`` and its upper left corner."""
    half = (box[2:] - box[:2]) * np.float32(0.5) * np.float32(len(padded) / (len(padded) - 2))
    center = (box[2:] + box[:2]) * np.float32(0.5)
    (x1, y1), (x2, y2) = ((int(x), int(y)) for x, y in (center - half, center + half))
    width, height = max(x2 - x1 + 1, 1), max(y2 - y1 + 1, 1)
    stretched = cv2.resize(padded, (width, height), interpolation=cv2.INTER_LINEAR)
    top, left = min(max(y1, 0), size[0]), min(max(x1, 0), size[1])
    return stretched[top - y1 : max(size[0] - y1, 0), left - x1 : max(size[1] - x1, 0)], (top, left)

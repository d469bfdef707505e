"""Run-length encoding of masks in COCO's compressed form, by pycocotools, as results files hold it."""

import warnings
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask


def encode(masks: np.ndarray) -> list[dict[str, Any]]:
    """Masks ``[d, h, w]`` of 0 and 1, or bool, as ``{"size": [h, w], "counts": text}`` each; ready for JSON."""
    columns_first = np.asfortranarray(np.moveaxis(np.asarray(masks, np.uint8), 0, -1))
    return [{"size": list(code["size"]), "counts": code["counts"].decode()} for code in coco_mask.encode(columns_first)]


def decode(codes: list[dict[str, Any]], image_size: tuple[int, int]) -> np.ndarray:
    """The masks, uint8 ``[d, h, w]``; image_size says h and w where there is no mask to tell them."""
    if not codes:
        return np.zeros((0, *image_size), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools 2.0.11 speaks numpy 1's array protocol
        masks = coco_mask.decode(codes)
    return np.ascontiguousarray(np.moveaxis(masks, -1, 0))

"""What the server answers: a result as JSON, with masks as PNG files in base64."""

import base64
from typing import Any

import cv2
import numpy as np

from jaxseg.data.colors import distinct_colors
from jaxseg.inference.results import InstanceResult, Result, SemanticResult
from jaxseg.metrics.detections import paste_mask


def to_answer(result: Result) -> dict[str, Any]:
    """Returns a result as JSON values."""
    height, width = result.size
    head = {"height": height, "width": width}
    if isinstance(result, SemanticResult):
        return {"task": "semantic", **head, **_classes(result)}
    return {"task": "instances", **head, "objects": _objects(result)}


def _classes(result: SemanticResult) -> dict[str, Any]:
    """Returns a class per pixel, and the share and mean confidence of each class."""
    scores = result.scores
    means = {} if scores is None else dict(zip(result.class_ids.tolist(), scores.tolist(), strict=True))
    classes = [
        {**entry, "number": number, "color": _color(result.palette[number]), "confidence": means.get(number)}
        for number, entry in enumerate(result.entries()[0]["classes"])
    ]
    confidence = None if result.confidence is None else to_png(result.confidence)
    return {"classes": classes, "mask_png": to_png(result.mask), "confidence_png": confidence}


def _objects(result: InstanceResult) -> list[dict[str, Any]]:
    """Returns the objects, best first, each with its mask within its box in whole pixels."""
    height, width = result.size
    colors = distinct_colors(max(len(result.class_names), 2))
    objects = []
    for slot, (x1, y1, x2, y2) in enumerate(result.boxes.tolist()):
        left, top = max(int(x1), 0), max(int(y1), 0)
        right, bottom = min(int(np.ceil(x2)), width), min(int(np.ceil(y2)), height)
        if right <= left or bottom <= top:
            continue
        shift = np.array([left, top, left, top], np.float32)
        crop = paste_mask(result.mask_probabilities[slot], result.boxes[slot] - shift, (bottom - top, right - left))
        number = int(result.class_ids[slot])
        objects.append(
            {
                "number": number,
                "name": result.class_names[number],
                "score": float(result.scores[slot]),
                "box": [x1, y1, x2, y2],
                "color": _color(colors[number]),
                "mask_left": left,
                "mask_top": top,
                "mask_png": to_png((crop >= 0.5).astype(np.uint8) * 255),
            }
        )
    return objects


def to_png(array: np.ndarray) -> str:
    """Returns uint8 values ``[h, w]`` or RGB ``[h, w, 3]`` as a PNG in base64."""
    array = array[..., ::-1] if array.ndim == 3 else array
    return base64.b64encode(cv2.imencode(".png", array)[1].tobytes()).decode()


def _color(color: np.ndarray) -> list[int]:
    return [int(value) for value in color]

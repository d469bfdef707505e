"""What the server answers: a result as JSON, with masks as PNG files in base64."""

import base64
from typing import Any

import cv2
import numpy as np

from jaxseg.data.colors import distinct_colors
from jaxseg.inference.instance_result import InstanceResult
from jaxseg.inference.results import Result
from jaxseg.inference.semantic_result import SemanticResult
from jaxseg.metrics.detections import paste_part
from jaxseg.reporting.pictures import background_classes


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
    plain = background_classes(result.class_names)
    about = [{"number": number, "background": number in plain} for number in range(len(result.class_names))]
    classes = [
        {**entry, **about[number], "color": _color(result.palette[number]), "confidence": means.get(number)}
        for number, entry in enumerate(result.entries()[0]["classes"])
    ]
    confidence = None if result.confidence is None else to_png(result.confidence)
    return {"classes": classes, "mask_png": to_png(result.mask), "confidence_png": confidence}


def _objects(result: InstanceResult) -> list[dict[str, Any]]:
    """Returns the objects, best first, each with its mask around its box in whole pixels."""
    colors = distinct_colors(max(len(result.class_names), 2))
    objects = []
    for slot, box in enumerate(result.boxes):
        part, (top, left) = paste_part(result.mask_probabilities[slot], box, result.size)
        if not part.size:
            continue
        number = int(result.class_ids[slot])
        objects.append(
            {
                "number": number,
                "name": result.class_names[number],
                "score": float(result.scores[slot]),
                "box": box.tolist(),
                "color": _color(colors[number]),
                "mask_left": left,
                "mask_top": top,
                "mask_png": to_png((part >= 0.5).astype(np.uint8) * 255),
            }
        )
    return objects


def to_png(array: np.ndarray) -> str:
    """Returns uint8 values ``[h, w]`` or RGB ``[h, w, 3]`` as a PNG in base64."""
    array = array[..., ::-1] if array.ndim == 3 else array
    return base64.b64encode(cv2.imencode(".png", array)[1].tobytes()).decode()


def _color(color: np.ndarray) -> list[int]:
    return [int(value) for value in color]

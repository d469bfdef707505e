"""Scores of single images. A report uses them to find the worst and the best images."""

from collections.abc import Sequence

import numpy as np

from jaxseg.metrics.details import ImageScore


def score_label_maps(pixels: np.ndarray, class_names: Sequence[str]) -> list[ImageScore]:
    """Returns the scores of images; the score is the mean IoU of the image.

    The mean is over the classes that are in the truth or in the prediction of this image.

    Args:
      pixels: int ``[n, 3, k]``: per image and class the number of right pixels, of pixels in the truth, and of pixels
        in the prediction.
      class_names: k names.

    Example:
      >>> (image,) = score_label_maps(np.array([[[3, 4], [4, 4], [3, 5]]]), ["background", "cat"])
      >>> round(image.score, 3), image.values["iou background"]  # the mean of 3 / 4 and 4 / 5
      (0.775, 0.75)
    """
    hits, truth, predicted = np.moveaxis(np.asarray(pixels, np.float64), 1, 0)
    union = truth + predicted - hits
    iou = np.divide(hits, union, out=np.full(hits.shape, np.nan), where=union > 0)
    scores = []
    for index, (row, right, total) in enumerate(zip(iou, hits.sum(axis=1), truth.sum(axis=1), strict=True)):
        present = row[~np.isnan(row)]
        mean = float(present.mean()) if present.size else 0.0
        values = {"pixel_accuracy": float(right / total) if total else None, "mean_iou": mean if total else None}
        values |= {
            f"iou {name}": None if np.isnan(value) else float(value)
            for name, value in zip(class_names, row, strict=True)
        }
        scores.append(ImageScore(index, mean, values))
    return scores


def score_detections(index: int, objects: int, found: int, right: int) -> ImageScore:
    """Returns the score of an image of a detector: F1, ``2 right / (objects + found)``; 1 if both are 0.

    Args:
      index: the index of the record.
      objects: number of objects, without crowd regions.
      found: number of detections that count.
      right: number of these detections that match an object.

    Example:
      >>> score_detections(index=7, objects=4, found=2, right=2).score  # 2 * 2 / (4 + 2)
      0.6666666666666666
    """
    total = objects + found
    f1 = 2 * right / total if total else 1.0
    return ImageScore(index, f1, {"f1": f1, "objects": objects, "found": found, "right": right})


def choose_extremes(images: Sequence[ImageScore], count: int) -> dict[str, list[ImageScore]]:
    """Returns the worst, the median and the best images, at most ``count`` of each. No image appears twice.

    Lists start with the worst image, except "best", which starts with the best.

    Example:
      >>> images = [ImageScore(index, score, {}) for index, score in enumerate([0.9, 0.2, 0.5, 0.7])]
      >>> {name: [one.index for one in part] for name, part in choose_extremes(images, 1).items()}
      {'worst': [1], 'median': [2], 'best': [0]}
    """
    ranked = sorted(images, key=lambda one: (one.score, one.index))
    count = min(count, -(-len(ranked) // 3))
    worst, rest = ranked[:count], ranked[count:]
    best, rest = rest[::-1][:count], rest[: max(len(rest) - count, 0)]
    first = max((len(rest) - count) // 2, 0)
    return {"worst": worst, "median": rest[first : first + count], "best": best}

"""Scores of single images by hand."""

import numpy as np
import pytest

from jaxseg.metrics.details import ImageScore
from jaxseg.metrics.per_image import choose_extremes, score_detections, score_label_maps


def test_scores_of_label_maps():
    # Image 0: class 0 has 6 true and 8 predicted pixels, 6 right; class 1 has 4 and 2, 2 right; class 2 does not occur.
    # Image 1 has no labeled pixel.
    pixels = np.array([[[6, 2, 0], [6, 4, 0], [8, 2, 0]], np.zeros((3, 3), int)])
    first, second = score_label_maps(pixels, ("sky", "cat", "dog"))
    assert first.score == pytest.approx((6 / 8 + 2 / 4) / 2)
    assert first.values == {
        "pixel_accuracy": pytest.approx(0.8),
        "mean_iou": first.score,
        "iou sky": 0.75,
        "iou cat": 0.5,
        "iou dog": None,
    }
    assert (second.index, second.score, second.values["mean_iou"]) == (1, 0.0, None)


def test_scores_of_detections():
    assert score_detections(3, objects=4, found=2, right=2) == ImageScore(
        3, pytest.approx(2 / 3), {"f1": pytest.approx(2 / 3), "objects": 4, "found": 2, "right": 2}
    )
    assert score_detections(0, 0, 0, 0).score == 1
    assert score_detections(0, 0, 2, 0).score == 0


def test_the_worst_the_median_and_the_best_are_different_images():
    images = [ImageScore(i, score, {}) for i, score in enumerate([0.5, 0.1, 0.9, 0.3, 0.7, 0.2, 0.8])]
    chosen = {name: [one.index for one in part] for name, part in choose_extremes(images, 2).items()}
    assert chosen == {"worst": [1, 5], "median": [3, 0], "best": [2, 6]}
    few = choose_extremes(images[:2], 12)
    assert [one.index for part in few.values() for one in part] == [1, 0]
    assert [one.index for one in choose_extremes(images[:1], 12)["worst"]] == [0]

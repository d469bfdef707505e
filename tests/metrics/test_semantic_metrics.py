"""Scores against scikit-learn, by hand, and where classes are missing."""

import chex
import numpy as np
import pytest

from jaxseg.metrics import semantic
from jaxseg.ops.images import confusion_matrix
from jaxseg.types import IGNORE


def test_scores_of_a_matrix_worked_out_by_hand():
    scores = semantic.result(np.array([[3, 1], [2, 4]]))
    chex.assert_trees_all_close(
        scores,
        {
            "pixel_accuracy": 7 / 10,
            "mean_pixel_accuracy": (3 / 4 + 4 / 6) / 2,
            "mean_iou": (3 / 6 + 4 / 7) / 2,
            "frequency_weighted_iou": (4 * 3 / 6 + 6 * 4 / 7) / 10,
            "iou": [3 / 6, 4 / 7],
        },
    )


def test_scores_equal_scikit_learn_on_the_pixels_that_count():
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    label, prediction = rng.integers(0, 5, (2, 3, 20, 10))
    label[rng.random(label.shape) < 0.2] = IGNORE
    total = semantic.start(5)
    for part in range(3):
        counts = confusion_matrix(label[part : part + 1].astype(np.uint8), prediction[part : part + 1], 5)
        total = semantic.add(total, counts)
    truth, guess = label[label != IGNORE], prediction[label != IGNORE]
    np.testing.assert_array_equal(total, sklearn.confusion_matrix(truth, guess))
    scores = semantic.result(total)
    assert scores["pixel_accuracy"] == pytest.approx(sklearn.accuracy_score(truth, guess))
    assert scores["mean_pixel_accuracy"] == pytest.approx(sklearn.balanced_accuracy_score(truth, guess))
    assert scores["mean_iou"] == pytest.approx(sklearn.jaccard_score(truth, guess, average="macro"))
    assert scores["frequency_weighted_iou"] == pytest.approx(sklearn.jaccard_score(truth, guess, average="weighted"))
    assert scores["iou"] == pytest.approx(list(sklearn.jaccard_score(truth, guess, average=None)))


def test_a_class_that_is_nowhere_enters_no_mean_and_one_only_predicted_has_iou_0():
    scores = semantic.result(np.array([[4, 0, 1], [0, 0, 0], [0, 0, 0]]))
    assert scores["iou"] == [0.8, None, 0.0]
    assert scores["mean_iou"] == pytest.approx(0.4)
    assert scores["mean_pixel_accuracy"] == pytest.approx(0.8)


def test_counts_beyond_32_bits_are_kept():
    total = semantic.start(2)
    for _ in range(3):
        total = semantic.add(total, np.full((2, 2), 2**31 - 1, np.int32))
    assert total[0, 0] == 3 * (2**31 - 1)


def test_nothing_to_score_is_an_error():
    with pytest.raises(ValueError, match="no labeled pixel"):
        semantic.result(semantic.start(3))

"""Differences between results of a run and of its export, by hand."""

import numpy as np
import pytest

from jaxseg.inference import InstanceResult
from jaxseg.inference.export_comparison import box_iou, compare_results


def test_box_iou_of_halves_is_a_third():
    assert box_iou(np.array([0, 0, 2, 2]), np.array([1, 0, 3, 2])) == pytest.approx(1 / 3)


def test_detections_are_compared_even_where_the_model_is_sure_of_nothing():
    def result(score):
        arrays = (
            np.array([[0, 0, 4, 4]], np.float32),
            np.array([score], np.float32),
            np.array([1]),
            np.ones((1, 28, 28)),
        )
        return InstanceResult(np.zeros((8, 8, 3), np.uint8), *arrays, ("background", "cat"))

    found = compare_results([result(0.25)], [result(0.125)])
    assert found == {"missing": 0, "score": 0.125}

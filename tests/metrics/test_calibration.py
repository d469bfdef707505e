"""Calibration by hand."""

import numpy as np

from jaxseg.metrics.calibration import calibration, sum_cases
from jaxseg.ops.images import confidence_sums


def test_a_reliability_diagram_by_hand():
    # Bin 0 to 0.5: confidence 0.2, right in 1 of 2. Bin 0.5 to 1: confidences 0.6, 0.8 and 1.0, all right.
    sums = sum_cases([0.2, 0.2, 0.6, 0.8, 1.0], [True, False, True, True, True], bins=2)
    np.testing.assert_allclose(sums, [[2, 3], [0.4, 2.4], [1, 3]])
    found = calibration(sums)
    np.testing.assert_allclose(found.confidence, [0.2, 0.8])
    np.testing.assert_allclose(found.accuracy, [0.5, 1.0])
    np.testing.assert_allclose(found.ece, (2 * 0.3 + 3 * 0.2) / 5)


def test_empty_bins_have_no_accuracy_and_no_case_has_no_error():
    found = calibration(sum_cases([0.9], [True], bins=3))
    assert np.isnan(found.accuracy[:2]).all()
    np.testing.assert_allclose(found.ece, 0.1)
    assert np.isnan(calibration(np.zeros((3, 4))).ece)


def test_sums_of_pixels_on_the_device_equal_those_on_the_host():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (2, 5, 6, 3)).astype(np.float32)
    label = rng.integers(0, 3, (2, 5, 6))
    label[0, :2] = 255
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    counted = label != 255
    expected = sum_cases(probabilities.max(axis=-1)[counted], (logits.argmax(axis=-1) == label)[counted], bins=4)
    np.testing.assert_allclose(confidence_sums(label, logits, 4), expected, rtol=1e-5)

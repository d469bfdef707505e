"""Exports resize images as training does."""

import cv2
import numpy as np
import pytest

from jaxseg.data.resize import resized_size
from jaxseg.inference import export_function


def test_images_are_resized_as_in_training_within_one_gray_level():
    rng = np.random.default_rng(0)
    photo = np.clip(np.cumsum(rng.integers(-9, 10, (45, 70, 3)), axis=1) + 128, 0, 255).astype(np.uint8)
    resized = np.asarray(export_function._resize(photo[None].astype(np.float32), (32, 32), (32, 32)))[0]
    expected = cv2.resize(photo, (32, 32), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(np.rint(resized), expected, atol=1)
    double = np.asarray(export_function._resize(np.array([0.0, 4.0])[None, :, None, None], (4, 1), (4, 1)))
    np.testing.assert_allclose(double.ravel(), [0, 1, 3, 4])  # half-pixel centers


@pytest.mark.parametrize(
    ("size", "expected"), [((600, 800), (800, 1066)), ((300, 900), (444, 1333)), ((1000, 1000), (800, 800))]
)
def test_detectors_resize_in_whole_numbers_as_in_training(size, expected):
    sizes = np.asarray(export_function._detector_sizes(size, 800, 1333, 2))
    assert sizes.tolist() == [list(expected)] * 2
    assert resized_size(size, 800, 1333) == expected

import numpy as np
import pytest

from jaxseg.data.augment.blur import Blur, blur_image, gaussian_weights
from jaxseg.types import Example


def test_an_image_of_one_color_stays():
    image = np.full((9, 12, 3), (7, 130, 251), np.uint8)
    np.testing.assert_array_equal(blur_image(image, gaussian_weights(2.0, 6)), image)


def test_an_impulse_becomes_the_gaussian():
    image = np.zeros((15, 15, 3), np.uint8)
    image[7, 7] = 255
    squares = np.square(np.arange(-7, 8))
    gaussian = np.exp(-(squares[:, None] + squares[None]) / (2 * 1.5**2))
    blurred = blur_image(image, gaussian_weights(1.5, 6))
    assert np.abs(blurred[..., 0] - 255 * gaussian / gaussian.sum()).max() < 0.6
    assert blurred[7, 7, 0] == 18  # 255 / (2 pi 1.5^2)


def test_edges_are_mirrored():
    ramp = np.tile(np.arange(0, 250, 50, dtype=np.uint8)[None, :, None], (5, 1, 3))
    blurred = blur_image(ramp, np.array([0.5, 0.25], np.float32))
    np.testing.assert_array_equal(blurred[..., 0], np.tile([25, 50, 100, 150, 175], (5, 1)))


def test_standard_deviations_are_uniform_from_0_on():
    rng = np.random.default_rng(0)
    weights = np.array([Blur(2.0).sample(rng) for _ in range(500)])
    assert weights.shape == (500, 7)
    np.testing.assert_allclose(weights[:, 0] + 2 * weights[:, 1:].sum(axis=1), 1, atol=1e-6)
    deviations = np.sqrt(2 * weights @ np.square(np.arange(7)))
    assert deviations.min() < 0.05
    assert 1.9 < deviations.max() < 2.0
    assert np.mean(deviations) == pytest.approx(1.0, abs=0.1)


def test_labels_stay_and_no_blur_draws_nothing():
    rng = np.random.default_rng(0)
    example = Example(rng.integers(0, 256, (8, 8, 3), np.uint8), rng.integers(0, 3, (8, 8)).astype(np.uint8))
    blurred = Blur(2.0).apply(rng, example)
    assert blurred.label is example.label
    assert blurred.image.std() < example.image.std()
    state = rng.bit_generator.state
    assert Blur().apply(rng, example) is example
    assert rng.bit_generator.state == state

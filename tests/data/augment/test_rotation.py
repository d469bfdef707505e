import numpy as np
import pytest

from configs.base import get_config
from jaxseg.data.augment import read_pipeline
from jaxseg.data.augment.rotation import sample_angle
from jaxseg.data.augment.scale import cut_window
from jaxseg.data.semantic.transforms import crop
from jaxseg.types import IGNORE, Example

RED = (255.0, 0.0, 0.0)


def noise(height, width):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 5, (height, width)).astype(np.uint8)
    return Example(rng.integers(0, 256, (height, width, 3), np.uint8), label)


@pytest.mark.parametrize(("angle", "turns"), [(90, 1), (-90, -1), (180, 2)])
def test_quarter_turns_are_those_of_numpy(angle, turns):
    example = noise(16, 16)
    rotated = crop(example, (0, 0, 16, 16), (16, 16), RED, angle)
    np.testing.assert_array_equal(rotated.image, np.rot90(example.image, turns))
    np.testing.assert_array_equal(rotated.label, np.rot90(example.label, turns))


def test_what_lies_outside_the_image_is_filled_and_ignored():
    rotated = crop(
        Example(np.zeros((40, 40, 3), np.uint8), np.ones((40, 40), np.uint8)), (0, 0, 40, 40), (40, 40), RED, 45
    )
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert tuple(rotated.image[corner]) == RED
        assert rotated.label[corner] == IGNORE
    # A square and its copy turned by 45 degrees share 2 (sqrt 2 - 1) of their area.
    assert (rotated.label == 1).mean() == pytest.approx(0.828, abs=0.01)
    assert set(np.unique(rotated.label)) == {1, IGNORE}


def test_corners_of_a_small_crop_show_the_image_beyond_it():
    """A ramp of columns: the crop of a quarter turn reads rows beyond its box."""
    ramp = np.tile(np.arange(100, dtype=np.uint8)[:, None, None], (1, 100, 3))
    rotated = crop(Example(ramp, ramp[..., 0]), (20, 45, 80, 55), (10, 60), RED, 90)
    np.testing.assert_array_equal(rotated.label, np.tile(np.arange(20, 80), (10, 1)))
    np.testing.assert_array_equal(rotated.image[..., 0], rotated.label)


def test_an_image_is_resampled_once():
    """A crop of a smooth image, enlarged and rotated, is what bilinear interpolation of the plane gives."""
    y, x = np.mgrid[:50, :50]
    plane = np.repeat((2 * x + 3 * y)[..., None], 3, 2).astype(np.uint8)
    rotated = crop(Example(plane, plane[..., 0]), (15, 15, 35, 35), (40, 40), RED, 30)
    dy, dx = (np.mgrid[:40, :40] - 19.5) / 2
    cosine, sine = np.cos(np.pi / 6), 0.5
    expected = 2 * (24.5 + cosine * dx - sine * dy) + 3 * (24.5 + sine * dx + cosine * dy)
    assert np.abs(rotated.image[..., 0] - expected).max() < 0.51


@pytest.mark.parametrize("scaled", [(24, 24), (48, 48), (12, 12)])
def test_windows_of_images_of_any_size_are_rotated(scaled):
    example = noise(24, 24)
    window = cut_window(example, scaled, (0, 0), scaled, RED, 90)
    straight = cut_window(example, scaled, (0, 0), scaled, RED)
    np.testing.assert_array_equal(window.image, np.rot90(straight.image))
    np.testing.assert_array_equal(window.label, np.rot90(straight.label))


@pytest.mark.parametrize("resize", ["stretch", "short_side"])
def test_every_resize_can_rotate(resize):
    data = get_config().data
    data.update(image_size=(32, 32), crop_size=(32, 32), resize=resize)
    data.augment.rotation = 40.0
    pipeline = read_pipeline(data, "semantic")
    example = Example(np.zeros((32, 32, 3), np.uint8), np.ones((32, 32), np.uint8))
    outside = [(pipeline.augment(np.random.default_rng(seed), example).label == IGNORE).mean() for seed in range(20)]
    assert min(outside) < 0.1 < max(outside) < 0.2


def test_angles_are_uniform_and_none_draws_nothing():
    rng = np.random.default_rng(0)
    angles = [sample_angle(rng, 20.0) for _ in range(2000)]
    assert -20 <= min(angles) < -19 < 19 < max(angles) <= 20
    assert np.std(angles) == pytest.approx(20 / np.sqrt(3), rel=0.05)
    state = rng.bit_generator.state
    assert sample_angle(rng, 0.0) == 0
    assert rng.bit_generator.state == state

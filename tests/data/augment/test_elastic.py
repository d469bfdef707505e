import chex
import numpy as np
import pytest

from jaxseg.data.augment.elastic import deform, displacements, random_elastic
from jaxseg.types import Example


def ramps(height=60, width=90):
    """An image whose red tells the column and whose green the row; the label is the column's half."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([x, y, 0 * x], axis=-1).astype(np.uint8)
    return Example(image, (x >= width // 2).astype(np.uint8))


def test_shifts_of_nothing_change_nothing():
    example = ramps()
    chex.assert_trees_all_equal(deform(example, np.zeros((60, 90, 2), np.float32)), example)


def test_every_pixel_takes_what_lies_at_its_shift():
    shifts = np.zeros((60, 90, 2), np.float32)
    shifts[..., 0], shifts[..., 1] = 5, -3
    bent = deform(ramps(), shifts)
    np.testing.assert_array_equal(bent.image[3:, :85], ramps().image[:-3, 5:])
    np.testing.assert_array_equal(bent.label[3:, :85], ramps().label[:-3, 5:])
    np.testing.assert_array_equal(bent.image[:3, :85, 1], np.repeat([[3], [2], [1]], 85, axis=1))  # the mirror


def test_shifts_of_the_grid_stand_at_its_centres_and_vary_smoothly():
    grid = np.random.default_rng(0).normal(0, 10, (3, 3, 2)).astype(np.float32)
    shifts = displacements(grid, (63, 93))
    chex.assert_shape(shifts, (63, 93, 2))
    np.testing.assert_allclose(shifts[10::21, 15::31], grid, atol=1e-4)
    assert np.abs(np.diff(shifts, axis=0)).max() < 3
    np.testing.assert_allclose(displacements(np.full((3, 3, 2), 4, np.float32), (20, 30)), 4, rtol=1e-6)


@pytest.mark.parametrize("std", [2.0, 6.0])
def test_random_shifts_have_the_standard_deviation_and_move_image_and_label_together(std):
    example, found = ramps(), []
    for seed in range(150):
        bent = random_elastic(np.random.default_rng(seed), example, std)
        found.append(int(bent.image[30, 45, 0]) - 45)  # at the center, a vector of the grid itself
        clear = np.abs(bent.image[..., 0].astype(int) - 45) > 1
        np.testing.assert_array_equal(bent.label[clear], bent.image[clear, 0] >= 45)
    assert np.std(found) == pytest.approx(std, rel=0.2)
    assert abs(np.mean(found)) < std / 3

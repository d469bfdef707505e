import numpy as np
import pytest

from configs.base import get_config
from jaxseg.data.semantic.border import Border, border_of, border_weights
from jaxseg.types import IGNORE

PAPER = Border(10.0, 5.0)


def by_hand(label, border):
    """The formula with the distances to every object written out, in float64."""
    from scipy import ndimage

    numbers, count = ndimage.label((label != 0) & (label != IGNORE))
    distances = [ndimage.distance_transform_edt(numbers != number) for number in range(1, count + 1)]
    first, second = np.sort(np.stack([*distances, *[np.full(label.shape, np.inf)] * 2]), axis=0)[:2]
    closeness = np.exp(-((first + second) ** 2) / (2 * border.width**2))
    return np.where(label == 0, 1 + border.weight * closeness, 1)


def test_known_answers_between_two_halves():
    """A gap of three columns: its middle is 2 from both sides, its edges 1 and 3."""
    label = np.ones((4, 21), np.uint8)
    label[:, 9:12] = 0
    weights = border_weights(label, PAPER)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights[:, 9:12], 1 + 10 * np.exp(-16 / 50), rtol=1e-6)
    np.testing.assert_array_equal(np.delete(weights, [9, 10, 11], axis=1), 1)


@pytest.mark.parametrize("border", [PAPER, Border(3.0, 2.0)])
def test_it_equals_the_formula(border):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        label = np.zeros((60, 70), np.uint8)
        for _ in range(12):
            top, left = rng.integers(0, 55, 2)
            label[top : top + rng.integers(2, 16), left : left + rng.integers(2, 16)] = rng.choice([0, 1, 2, IGNORE])
        # What is beyond the reach is left out.
        np.testing.assert_allclose(border_weights(label, border), by_hand(label, border), atol=4e-4 * border.weight)


@pytest.mark.parametrize("value", [0, 1, IGNORE])
def test_without_two_objects_all_count_alike(value):
    label = np.full((30, 30), value, np.uint8)
    label[10:20, 10:20] = 1
    np.testing.assert_array_equal(border_weights(label, PAPER), 1)


def test_objects_that_touch_at_a_corner_are_two():
    label = np.kron(np.eye(2), np.ones((5, 5))).astype(np.uint8)
    assert border_weights(label, PAPER)[4, 5] == pytest.approx(1 + 10 * np.exp(-4 / 50))


def test_the_same_bits_every_time():
    label = (np.random.default_rng(0).random((64, 64)) < 0.7).astype(np.uint8)
    first = border_weights(label, PAPER)
    for _ in range(20):
        np.testing.assert_array_equal(border_weights(label.copy(), PAPER), first)


def test_the_config_says_how_much():
    data = get_config().data
    assert border_of(data) is None
    data.border_weight = 10.0
    assert border_of(data) == PAPER
    for field, wrong in (("border_width", 0.0), ("border_weight", -1.0)):
        data[field] = wrong
        with pytest.raises(ValueError, match=r"config\.data\.border_weight"):
            border_of(data)

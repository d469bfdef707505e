import numpy as np
import pytest

from jaxseg.data.augment.noise import Noise, add_noise, random_bits, standard_normal
from jaxseg.types import Example

SHAPE = (100, 120, 3)


def normal(*key):
    return standard_normal(np, np.array(key, np.uint32), SHAPE).astype(np.float64)


@pytest.mark.parametrize("key", [(0, 0), (1, 2), (2**32 - 1, 2**31)])
def test_noise_is_standard_normal(key):
    values = normal(*key)
    count = values.size
    assert abs(values.mean()) < 4 / np.sqrt(count)
    assert abs(values.std() - 1) < 4 / np.sqrt(2 * count)
    # Shares of a normal distribution below -2, -1, 0, 1 and 2.
    shares = [(values < limit).mean() for limit in (-2, -1, 0, 1, 2)]
    np.testing.assert_allclose(shares, [0.0228, 0.1587, 0.5, 0.8413, 0.9772], atol=4 * 0.5 / np.sqrt(count))
    assert abs((values**4).mean() - 3) < 4 * np.sqrt(96 / count)
    assert 3.5 < np.abs(values).max() < 5


def correlation(one, other):
    """Returns the correlation in units of its standard error."""
    return abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) * np.sqrt(one.size)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_neighbors_are_not_correlated(axis):
    values = np.moveaxis(normal(3, 4), axis, 0)
    for change in (np.asarray, np.abs):
        assert correlation(change(values[1:]), change(values[:-1])) < 4


@pytest.mark.parametrize("other", [(8, 9), (7, 8), (7, 8 + 2**31), (6, 9), (7 + 2**31, 9), (9, 7), (7 + 360, 9)])
def test_similar_keys_give_noise_that_is_not_correlated(other):
    for change in (np.asarray, np.abs):
        assert correlation(change(normal(7, 9)), change(normal(*other))) < 4


def test_the_generator_is_never_changed():
    """A run that goes on after an update sees the same noise."""
    bits = random_bits(np, np.array([1, 2], np.uint32), (2, 2))
    assert bits.dtype == np.uint32
    assert bits.tolist() == BITS
    assert len(np.unique(random_bits(np, np.array([5, 6], np.uint32), SHAPE))) == np.prod(SHAPE)


def by_hand(number, first, second):
    """The definition with Python's integers."""
    bits = number + first
    for key in (second, 0):
        bits %= 1 << 32
        bits = (bits ^ bits >> 16) * 0x85EBCA6B % (1 << 32)
        bits = (bits ^ bits >> 13) * 0xC2B2AE35 % (1 << 32)
        bits = (bits ^ bits >> 16) ^ key
    return bits


BITS = [[by_hand(0, 1, 2), by_hand(1, 1, 2)], [by_hand(2, 1, 2), by_hand(3, 1, 2)]]


def test_noise_has_the_standard_deviation_that_is_asked_for():
    image = np.full(SHAPE, 128, np.uint8)
    noisy = add_noise(image, np.array([1, 2], np.uint32), np.float32(10)).astype(float)
    assert noisy.std() == pytest.approx(10, rel=0.02)
    assert noisy.mean() == pytest.approx(128, abs=0.3)
    edges = add_noise(np.array([[[0, 255, 0]]], np.uint8).repeat(50, 0), np.array([1, 2], np.uint32), np.float32(10))
    assert edges[:, 0, 0].max() < 50
    assert edges[:, 0, 1].min() > 200


def test_standard_deviations_are_uniform_and_keys_differ():
    rng = np.random.default_rng(0)
    keys, deviations = zip(*(Noise(0.2).sample(rng) for _ in range(500)), strict=True)
    assert 0 <= min(deviations) < 1 < 50 < max(deviations) <= 51
    assert np.mean(deviations) == pytest.approx(25.5, rel=0.08)
    assert len({tuple(key) for key in keys}) == 500


def test_labels_stay_and_no_noise_draws_nothing():
    rng = np.random.default_rng(0)
    example = Example(np.full((8, 8, 3), 99, np.uint8), np.ones((8, 8), np.uint8))
    assert Noise(0.5).apply(rng, example).label is example.label
    state = rng.bit_generator.state
    assert Noise().apply(rng, example) is example
    assert rng.bit_generator.state == state

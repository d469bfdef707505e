"""Sampling: the share of objects, filler, uniformity, repeatability."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxseg.ops.matching import Match
from jaxseg.ops.sampling import sample

sample_8 = jax.jit(partial(sample, slots=8, positive_fraction=0.5))


def labels_of(objects, background, ignored):
    labels = [Match.OBJECT] * objects + [Match.BACKGROUND] * background + [Match.IGNORED] * ignored
    labels = np.random.default_rng(0).permutation(np.array(labels, np.int32))
    return jnp.asarray(labels)


@pytest.mark.parametrize(
    ("objects", "background", "expected_positive", "expected_negative"),
    [(10, 10, 4, 4), (2, 18, 2, 6), (0, 20, 0, 8), (20, 0, 4, 0), (3, 1, 3, 1), (0, 0, 0, 0)],
)
def test_counts(objects, background, expected_positive, expected_negative):
    labels = labels_of(objects, background, 20 - objects - background)
    samples = sample_8(jax.random.key(1), labels, jnp.ones(20, bool))
    positive = np.asarray(samples.indices[samples.positive])
    negative = np.asarray(samples.indices[samples.valid & ~samples.positive])
    assert (len(positive), len(negative)) == (expected_positive, expected_negative)
    assert (np.asarray(labels)[positive] == Match.OBJECT).all()
    assert (np.asarray(labels)[negative] == Match.BACKGROUND).all()
    assert len(np.unique(np.concatenate([positive, negative]))) == expected_positive + expected_negative
    assert not (samples.positive & ~samples.valid).any()


def test_the_ineligible_are_never_drawn():
    eligible = jnp.arange(20) % 2 == 0
    samples = sample_8(jax.random.key(2), labels_of(10, 10, 0), eligible)
    assert eligible[samples.indices[samples.valid]].all()


def test_fewer_boxes_than_slots_leaves_filler():
    samples = sample(jax.random.key(3), labels_of(1, 2, 0), jnp.ones(3, bool), slots=8, positive_fraction=0.25)
    assert samples.valid.tolist() == [True] * 3 + [False] * 5
    assert sorted(samples.indices[:3].tolist()) == [0, 1, 2]


def test_same_key_same_samples():
    labels, eligible = labels_of(10, 10, 0), jnp.ones(20, bool)
    first, again, other = (sample_8(jax.random.key(seed), labels, eligible) for seed in (4, 4, 5))
    chex.assert_trees_all_equal(first, again)
    assert (first.indices != other.indices).any()


def test_draws_are_uniform():
    labels = labels_of(8, 12, 0)
    keys = jax.random.split(jax.random.key(6), 2000)
    samples = jax.vmap(sample_8, in_axes=(0, None, None))(keys, labels, jnp.ones(20, bool))
    counts = np.bincount(np.asarray(samples.indices).ravel(), minlength=20) / 2000
    expected = np.where(np.asarray(labels) == Match.OBJECT, 4 / 8, 4 / 12)
    np.testing.assert_allclose(counts, expected, atol=0.05)  # 4.5 standard deviations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxseg.ops import resize
from jaxseg.types import IGNORE


def batch():
    """Two maps of different sizes with garbage beyond them, and what each alone is resized to."""
    rng = np.random.default_rng(0)
    old, new = np.array([[4, 5], [3, 7]], np.int32), np.array([[11, 9], [6, 20]], np.int32)
    x = rng.standard_normal((2, 6, 8, 3)).astype(np.float32)
    alone = [
        np.asarray(jax.image.resize(x[i, : old[i, 0], : old[i, 1]], (*new[i], 3), "linear", antialias=False))
        for i in (0, 1)
    ]
    return x, old, new, alone


def test_each_map_is_resized_as_if_alone():
    x, old, new, alone = batch()
    resized = resize.resize_logits(x, old, new, (12, 20))
    for one, expected in zip(resized, alone, strict=True):
        np.testing.assert_allclose(one[: expected.shape[0], : expected.shape[1]], expected, atol=1e-5)


def test_smaller_results_skip_pixels_without_antialias():
    row = jnp.array([0.0, 1.0, 10.0, 3.0, 4.0, 5.0]).reshape(1, 1, 6, 1)
    resized = resize.resize_logits(row, jnp.array([[1, 6]]), jnp.array([[1, 2]]), (1, 2))
    np.testing.assert_allclose(resized.ravel(), [1.0, 4.0])  # the centers of the two halves lie on pixels 1 and 4


@pytest.mark.parametrize("strip", [1, 150, 1 << 21])
def test_confusion_counts_the_pixels_of_the_labels(monkeypatch, strip):
    monkeypatch.setattr(resize, "STRIP", strip)
    x, old, new, alone = batch()
    label = np.full((2, 12, 20), IGNORE, np.uint8)
    expected = np.zeros((2, 3, 3), np.int64)
    rng = np.random.default_rng(1)
    for i, logits in enumerate(alone):
        truth = rng.integers(0, 3, logits.shape[:2])
        label[i, : truth.shape[0], : truth.shape[1]] = truth
        np.add.at(expected[i], (truth, logits.argmax(-1)), 1)
    np.testing.assert_array_equal(resize.resized_confusions(x, old, new, label), expected)

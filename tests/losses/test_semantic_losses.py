"""Losses of label maps against independent computations, and at the edges."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxseg.losses.semantic import make_terms, mean_loss
from jaxseg.types import IGNORE

CLASSES = 4
WEIGHTS = (0.5, 1.0, 2.0, 3.0)
NAMES = ("cross_entropy", "focal", "dice", "lovasz")


def jitted_terms(*arguments):
    terms = make_terms(*arguments)
    return {name: term._replace(sum=jax.jit(term.sum), count=jax.jit(term.count)) for name, term in terms.items()}


def options(class_weights, label_smoothing):
    return {"class_weights": class_weights, "label_smoothing": label_smoothing}


@pytest.fixture
def image():
    """Logits and a label map with some ignored pixels and one class absent."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, CLASSES - 1, (6, 5)).astype(np.uint8)
    label[0, :3] = IGNORE
    return rng.normal(size=(6, 5, CLASSES)).astype(np.float32) * 2, label


def probabilities(logits):
    exponents = np.exp(logits.astype(np.float64))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def lovasz_by_definition(probs, truth):
    """The extension as the integral of the Jaccard loss over the level sets of the errors."""
    errors = np.abs(truth - probs)
    levels = np.concatenate([[0.0], np.unique(errors)])
    total = 0.0
    for low, high in itertools.pairwise(levels):
        wrong = errors >= high
        hit = (truth == 1) & ~wrong
        total += (high - low) * (1 - hit.sum() / ((truth == 1) | wrong).sum())
    return total


def by_hand(name, logits, label):
    """Sum and count of a term, in float64 and pixel by pixel."""
    counted = label != IGNORE
    probs, truth = probabilities(logits)[counted], label[counted].astype(int)
    p, weight = probs[np.arange(len(truth)), truth], np.array(WEIGHTS)[truth]
    if name == "cross_entropy":
        smooth = -(0.9 * np.log(p) + 0.1 * np.log(probs).mean(axis=-1))
        return (weight * smooth).sum(), weight.sum()
    if name == "focal":
        return (weight * (1 - p) ** 2 * -np.log(p)).sum(), weight.sum()
    onehot = np.eye(CLASSES)[truth]
    if name == "dice":
        score = (2 * (probs * onehot).sum(0) + 1) / (probs.sum(0) + onehot.sum(0) + 1)
        return (1 - score).mean(), 1.0
    return np.mean([lovasz_by_definition(probs[:, c], onehot[:, c]) for c in np.unique(truth)]), 1.0


@pytest.mark.parametrize("name", NAMES)
def test_each_term_equals_its_definition(name, image):
    logits, label = image
    term = jitted_terms(CLASSES, options(WEIGHTS, 0.1))[name]
    chex.assert_trees_all_close((term.sum(logits, label), term.count(label)), by_hand(name, *image), rtol=1e-5)


def test_cross_entropy_equals_pytorch(image):
    torch = pytest.importorskip("torch")
    logits, label = image
    term = jitted_terms(CLASSES, options(WEIGHTS, 0.0))["cross_entropy"]
    expected = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits).permute(2, 0, 1)[None],
        torch.from_numpy(label.astype(np.int64))[None],
        weight=torch.tensor(WEIGHTS),
        ignore_index=IGNORE,
    )
    chex.assert_trees_all_close(term.sum(logits, label) / term.count(label), expected.numpy(), rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_ignored_pixels_change_nothing(name, image):
    logits, label = image
    term = jitted_terms(CLASSES, options(WEIGHTS, 0.1))[name]
    noise = np.random.default_rng(1).normal(size=logits.shape).astype(np.float32)
    other = np.where((label == IGNORE)[..., None], noise, logits)
    chex.assert_trees_all_close(term.sum(other, label), term.sum(logits, label), rtol=1e-6)
    gradient = jax.jit(jax.grad(term.sum))(logits, label)
    assert np.all(gradient[label == IGNORE] == 0)
    assert np.any(gradient[label != IGNORE] != 0)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_of_ignored_pixels_has_no_loss_and_no_gradient(name, image):
    logits, label = image
    term, nothing = jitted_terms(CLASSES, options(WEIGHTS, 0.1))[name], np.full_like(label, IGNORE)
    value, gradient = jax.jit(jax.value_and_grad(term.sum))(logits, nothing)
    chex.assert_trees_all_equal((value, term.count(nothing)), (jnp.zeros(()), jnp.zeros(())))
    chex.assert_trees_all_equal(gradient, jnp.zeros_like(gradient))


@pytest.mark.parametrize("name", NAMES)
def test_a_sure_and_right_prediction_costs_nothing_and_a_sure_mistake_stays_finite(name, image):
    _, label = image
    term = jitted_terms(CLASSES, options((), 0.0))[name]
    certain = 100 * jax.nn.one_hot(label, CLASSES)
    for logits, expected in ((certain, 0.0), (-certain, None)):
        value, gradient = jax.jit(jax.value_and_grad(term.sum))(logits, label)
        chex.assert_tree_all_finite((value, gradient))
        assert value > 0.1 if expected is None else abs(value - expected) < 1e-5


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_a_pixel_of_weight_two_counts_as_two(name, image):
    logits, label = image
    term = jitted_terms(CLASSES, options(WEIGHTS, 0.1))[name]
    weight = np.ones(label.shape, np.float32)
    chex.assert_trees_all_close(term.sum(logits, label, weight), term.sum(logits, label), rtol=1e-6)
    weight[2] = 2
    twice = np.concatenate([logits, logits[2:3]]), np.concatenate([label, label[2:3]])
    chex.assert_trees_all_close(term.sum(logits, label, weight), term.sum(*twice), rtol=1e-6)
    chex.assert_trees_all_close(term.count(label, weight), term.count(twice[1]), rtol=1e-6)


@pytest.mark.parametrize("name", ["dice", "lovasz"])
def test_losses_of_regions_leave_weights_aside(name, image):
    term, weight = jitted_terms(CLASSES, options(WEIGHTS, 0.1))[name], np.full(image[1].shape, 2, np.float32)
    chex.assert_trees_all_equal(term.sum(*image, weight), term.sum(*image))
    chex.assert_trees_all_equal(term.count(image[1], weight), term.count(image[1]))


def test_class_weights_of_another_number_are_refused():
    with pytest.raises(ValueError, match="class_weights has 2 numbers; expected 4"):
        jitted_terms(CLASSES, options((1.0, 2.0), 0.0))


def test_class_weights_of_zeros_are_refused():
    with pytest.raises(ValueError, match=r"class_weights is \(0.0, 0.0, 0.0, 0.0\); expected at least one above 0"):
        jitted_terms(CLASSES, options((0.0,) * CLASSES, 0.0))


def test_mean_loss_weighs_every_pixel_of_a_batch_equally():
    undecided, sure = [0.0, 0.0], [0.0, 99.0]  # losses log 2 and 0 in class 1
    logits = np.array([[[undecided, undecided]], [[sure, sure]]], np.float32)
    label = np.array([[[1, 255]], [[1, 1]]])
    loss = jax.jit(mean_loss)(logits, label)  # three pixels count: (log 2 + 0 + 0) / 3
    np.testing.assert_allclose(loss, np.log(2) / 3, rtol=1e-6)


def test_mean_loss_adds_weighted_losses():
    logits, label = np.zeros((1, 1, 2, 2), np.float32), np.array([[[0, 1]]])
    loss = jax.jit(lambda logits: mean_loss(logits, label, weights={"cross_entropy": 1.0, "dice": 3.0}))(logits)
    np.testing.assert_allclose(loss, np.log(2) + 3 * (1 - 2 / 3), rtol=1e-6)


def test_mean_loss_names_the_losses_that_exist():
    with pytest.raises(ValueError, match="'jaccard'; expected one of cross_entropy, focal, dice, lovasz"):
        mean_loss(np.zeros((1, 1, 1, 2)), np.zeros((1, 1, 1), int), weights={"jaccard": 1.0})

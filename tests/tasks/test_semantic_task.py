"""The semantic task: filler counts for nothing, and a smaller output is compared with the middle of the label."""

import pickle
from functools import partial

import chex
import flax.linen as nn
import jax
import numpy as np
import pytest
from experiments import tiny_config

from jaxseg.models import table as models
from jaxseg.tasks import make_task, semantic
from jaxseg.types import IGNORE, Batch

NAMES = ("background", "disc", "square", "triangle")
PALETTE = np.zeros((4, 3), np.uint8)


def random_batch(seed, size, count=4):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (count, size, size, 3), np.uint8)
    label = rng.integers(0, 4, (count, size, size), np.uint8)
    return Batch(image, label, np.ones(count, bool), index=np.arange(count, dtype=np.int32))


@pytest.fixture(scope="module")
def task():
    return make_task(tiny_config(), NAMES, PALETTE)


@pytest.fixture(scope="module")
def variables(task):
    return jax.jit(task.model.init)(jax.random.key(0))


def test_filler_images_change_no_sum(task, variables):
    batch, filler = random_batch(0, 32), random_batch(1, 32)
    padded = jax.tree.map(lambda *arrays: np.concatenate(arrays), batch, filler)._replace(valid=np.arange(8) < 4)
    score = jax.jit(task.metric.score)
    alone, with_filler = (jax.device_get(score(variables, one)) for one in (batch, padded))
    chex.assert_trees_all_close(alone[0], with_filler[0], rtol=1e-6)
    np.testing.assert_array_equal(alone[1], with_filler[1][:4])
    with task.metric.start(None) as metric:
        once = task.metric.add(metric, alone, batch)
        chex.assert_trees_all_close(
            task.metric.result(task.metric.add(once, alone, batch)), task.metric.result(once), rtol=1e-6
        )


def test_weights_are_in_the_loss_and_in_its_denominator(task, variables):
    """Equal weights cancel out; a pixel of weight 0 is as one that is ignored."""
    plain = random_batch(0, 32)
    shape = plain.label.shape
    twice = plain._replace(weight=np.full(shape, 2, np.float32))
    counted = np.random.default_rng(2).random(shape) < 0.5
    masked = plain._replace(weight=counted.astype(np.float32))
    ignored = plain._replace(label=np.where(counted, plain.label, IGNORE))

    @jax.jit
    def loss(batch):
        sums, counts, _ = task.loss.sums(variables["params"], variables["batch_stats"], batch, jax.random.key(1), 0)
        return task.loss.combine(sums, counts)[0]

    values = [float(loss(batch)) for batch in (plain, twice, masked, ignored)]
    assert values[1] == pytest.approx(values[0], rel=1e-5)
    assert values[2] == pytest.approx(values[3], rel=1e-5)
    assert values[2] != pytest.approx(values[0], rel=1e-5)


def test_the_loss_of_a_batch_is_the_sum_of_its_parts(task, variables):
    whole = random_batch(0, 32)
    parts = [jax.tree.map(lambda array, i=i: array[i : i + 2], whole) for i in (0, 2)]

    @jax.jit
    def counts(batch):
        return task.loss.sums(variables["params"], variables["batch_stats"], batch, jax.random.key(1), 0)[1]

    chex.assert_trees_all_close(counts(whole), jax.tree.map(lambda a, b: a + b, *map(counts, parts)))


def test_valid_convolutions_are_scored_on_the_middle():
    config = tiny_config(data__image_size=(44, 44))
    config.model = {"name": "unet", "features": 4, "depth": 1, "padding": "valid"}
    task = make_task(config, NAMES, PALETTE)
    variables = jax.jit(task.model.init)(jax.random.key(0))
    batch = random_batch(0, 44)
    score = jax.jit(task.metric.score)
    scored, _ = jax.device_get(score(variables, batch))
    assert jax.eval_shape(task.model.predict, variables, batch.image).shape[1] == 28
    np.testing.assert_array_equal(
        scored["confusion"].sum(axis=1), np.bincount(batch.label[:, 8:36, 8:36].ravel(), minlength=4)
    )
    border = batch._replace(label=np.pad(batch.label[:, 8:36, 8:36], ((0, 0), (8, 8), (8, 8)), constant_values=3))
    chex.assert_trees_all_equal(jax.device_get(score(variables, border)[0]), scored)


def test_a_field_that_the_model_does_not_have_is_named():
    config = tiny_config()
    config.model = {"name": "unet", "widht": 3}
    with pytest.raises(ValueError, match="does not fit unet.*widht"):
        make_task(config, NAMES, PALETTE)


class TwoHeads(nn.Module):
    """A model whose two heads are one convolution each."""

    @nn.compact
    def __call__(self, image, *, train):
        return {name: nn.Conv(4, (1, 1), name=name)(image) for name in ("logits", "aux_logits")}


def test_an_auxiliary_head_is_trained_with_its_weight(monkeypatch):
    monkeypatch.setitem(models.SEMANTIC, "two_heads", lambda **_: TwoHeads())
    config = tiny_config(loss__dice=0.5, loss__auxiliary=0.25)
    config.model = {"name": "two_heads"}
    task, batch = make_task(config, NAMES, PALETTE), random_batch(0, 32)
    params = jax.jit(task.model.init)(jax.random.key(0))["params"]

    @jax.jit
    @partial(jax.value_and_grad, has_aux=True)
    def loss_and_gradients(params):
        sums, counts, _ = task.loss.sums(params, {}, batch, jax.random.key(0), 0)
        return task.loss.combine(sums, counts)

    (total, logs), grads = loss_and_gradients(params)
    main = logs["cross_entropy"] + 0.5 * logs["dice"]
    chex.assert_trees_all_close(total, main + 0.25 * logs["auxiliary"], rtol=1e-6)

    swapped = {"logits": params["aux_logits"], "aux_logits": params["logits"]}
    (_, other), mirrored = loss_and_gradients(swapped)
    chex.assert_trees_all_close(logs["auxiliary"], other["cross_entropy"] + 0.5 * other["dice"], rtol=1e-6)
    chex.assert_trees_all_close(
        grads["aux_logits"], jax.tree.map(lambda leaf: 0.25 * leaf, mirrored["logits"]), rtol=1e-5, atol=1e-7
    )
    sums = jax.device_get(jax.jit(task.metric.score)({"params": params}, batch))  # no score counts the auxiliary head
    with task.metric.start(None) as metric:
        chex.assert_trees_all_close(
            task.metric.result(task.metric.add(metric, sums, batch))["loss"], float(main), rtol=1e-5
        )


def test_details_have_each_image_once_in_order_also_where_processes_divide_images_over_rows(monkeypatch):
    """Two shares of two batches; the first share is held by two processes."""

    def images(*hits):
        """A batch of one share: each image has ten pixels of class 0, and so many right ones."""
        pixels = np.zeros((len(hits), 3, 4), int)
        pixels[:, 0, 0], pixels[:, 1:, 0] = hits, 10
        return np.array([one - 1 if one else -1 for one in hits]), pixels  # image i has i + 1 hits, filler has none

    first, second = (images(1, 2), images(5, 6)), (images(3, 4), images(7, 0))
    gathered = [pickle.dumps(one) for one in ((0, first), (0, first), (1, second))]
    monkeypatch.setattr(semantic, "from_all_processes", lambda own: gathered)
    zeros = dict.fromkeys(("cross_entropy",), 0.0)
    state = semantic._Evaluation(np.eye(4, dtype=int), np.zeros((3, 15)), zeros, zeros, first)
    details = semantic._details(NAMES, state, 0)
    np.testing.assert_allclose([one.values["pixel_accuracy"] for one in details.images], np.arange(1, 8) / 10)
    assert [one.index for one in details.images] == list(range(7))

from functools import partial
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_weights import random_image, random_variables, relative_error, template

from jaxseg.benchmarks.flops import count_flops
from jaxseg.models.backbones.resnet import LAYERS, ResNet, max_pool_3x3
from jaxseg.weights.mappings import RESNET
from jaxseg.weights.torchvision import from_state_dict, to_state_dict

GOLDEN = Path(__file__).resolve().parents[2] / "golden"


def narrow(**fields):
    model = ResNet(18, width=8, **fields)
    return model, random_variables(template(model, (1, 32, 32, 3)), seed=0)


@pytest.fixture(scope="module")
def image():
    return random_image((2, 64, 96, 3), seed=1)


@pytest.mark.parametrize(("depth", "count"), [(18, 11689512), (34, 21797672), (50, 25557032), (101, 44549160)])
def test_parameters_are_as_many_as_torchvisions(depth, count):
    shapes = template(ResNet(depth, classes=1000), (1, 64, 64, 3))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == count


@pytest.mark.parametrize(("output_stride", "sizes"), [(32, (16, 8, 4, 2)), (16, (16, 8, 4, 4)), (8, (16, 8, 8, 8))])
def test_features_have_the_strides_that_were_asked_for(output_stride, sizes):
    model = ResNet(50, output_stride=output_stride)
    shapes = jax.eval_shape(
        lambda x: model.init_with_output(jax.random.key(0), x, train=False)[0], jnp.zeros((1, 64, 96, 3))
    )
    assert shapes["stem"].shape == (1, 32, 48, 64)
    for layer, size, channels in zip(LAYERS, sizes, (256, 512, 1024, 2048), strict=True):
        assert shapes[layer].shape == (1, size, size * 3 // 2, channels)


@pytest.mark.parametrize("size", [(6, 8), (7, 5), (1, 2)])
def test_max_pool_is_the_usual_one(size):
    x = jax.nn.relu(random_image((2, *size, 3), seed=2))
    windows = jax.lax.reduce_window(
        x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0))
    )
    chex.assert_trees_all_equal(max_pool_3x3(x), windows)


@pytest.mark.parametrize("train", [False, True])
def test_padding_beyond_an_images_extent_changes_nothing(image, train):
    """Neither its features nor, in training, the statistics of the batch."""
    model, variables = narrow()
    apply = jax.jit(lambda x, e: model.apply(variables, x, train=train, extents=e, mutable=["batch_stats"]))
    alone, alone_stats = jax.jit(lambda x: model.apply(variables, x, train=train, mutable=["batch_stats"]))(image)
    padded = jnp.pad(image, ((0, 0), (0, 64), (0, 32), (0, 0)))
    extents = jnp.array([[64, 96], [64, 96]])
    features, stats = apply(padded, extents)
    for i, layer in enumerate(LAYERS):
        rows, columns = 16 >> i, 24 >> i
        assert relative_error(features[layer][:, :rows, :columns], alone[layer]) < 1e-5
    chex.assert_trees_all_close(stats, alone_stats, atol=1e-5, rtol=1e-5)
    leaked, _ = apply(padded, jnp.array([[128, 128], [128, 128]]))
    assert np.abs(leaked["layer4"][:, :2, :3] - alone["layer4"]).max() > 1e-3


def test_each_image_has_an_extent_of_its_own(image):
    model, variables = narrow()
    short = image[1:, :32]
    batch = np.concatenate([image[:1], np.pad(short, ((0, 0), (0, 32), (0, 0), (0, 0)))])
    apply = jax.jit(lambda x, extents=None: model.apply(variables, x, train=False, extents=extents)["layer4"])
    together = apply(batch, jnp.array([[64, 96], [32, 96]]))
    assert relative_error(together[:1], apply(image[:1])) < 1e-5
    assert relative_error(together[1:, :1], apply(short)) < 1e-5


def test_frozen_norms_have_no_parameters_and_the_numbers_of_live_ones_in_evaluation(image):
    live, variables = narrow()
    frozen = ResNet(18, width=8, norm="frozen")
    state = to_state_dict(variables, RESNET)
    frozen_variables = from_state_dict(state, template(frozen, (1, 32, 32, 3)), RESNET).variables
    assert {leaf.ndim for leaf in jax.tree.leaves(frozen_variables["params"])} == {4}
    expected = jax.jit(partial(live.apply, train=False))(variables, image)
    found = jax.jit(partial(frozen.apply, train=True))(frozen_variables, image)
    chex.assert_trees_all_close(found, expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("trainable", [5, 3])
def test_gradients_stop_below_the_trainable_layers(trainable):
    model, variables = narrow(trainable_layers=trainable)
    image = random_image((1, 32, 32, 3), seed=3)

    def loss(params):
        features = model.apply({**variables, "params": params}, image, train=False)
        return features["layer4"].sum() + features["layer1"].sum()

    grads = jax.jit(jax.grad(loss))(variables["params"])
    stages = {"conv1": 0, "bn1": 0} | {f"layer{i}_{j}": i for i in (1, 2, 3, 4) for j in (0, 1)}
    moved = {name for name, grad in grads.items() if any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(grad))}
    assert moved == {name for name, stage in stages.items() if stage + trainable >= 5}


def test_half_precision_computes_in_it_and_keeps_parameters(image):
    model = ResNet(18, width=8, dtype=jnp.bfloat16)
    variables = random_variables(template(model, (1, 32, 32, 3)), seed=0)
    features, stats = jax.eval_shape(lambda x: model.apply(variables, x, train=True, mutable=["batch_stats"]), image)
    assert {leaf.dtype for leaf in features.values()} == {jnp.dtype("bfloat16")}
    assert {leaf.dtype for leaf in jax.tree.leaves(stats)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("depth", [18, 50, pytest.param(101, marks=pytest.mark.slow)])
def test_features_are_torchvisions_golden(depth):
    golden = np.load(GOLDEN / f"resnet{depth}.npz")
    model = ResNet(depth, classes=1000)
    variables = random_variables(template(model, (1, 64, 64, 3)), seed=depth)
    features = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, random_image((1, 64, 64, 3), seed=depth))
    assert relative_error(features["logits"], golden["logits"]) < 1e-4
    for layer in LAYERS:
        assert relative_error(features[layer][..., ::16], golden[layer]) < 1e-4


def test_a_frozen_backbone_has_no_gradient_to_compute():
    model, variables = narrow(trainable_layers=0)
    image = random_image((1, 32, 32, 3), seed=3)

    def loss(params):
        return model.apply({**variables, "params": params}, image, train=False)["layer4"].sum()

    assert count_flops(jax.grad(loss), variables["params"]) == 0

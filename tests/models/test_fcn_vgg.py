"""FCN-32s, 16s and 8s: against an independent PyTorch build, and every part of the sum of scores alive."""

from functools import partial
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_weights import random_image, random_variables, relative_error, template

from jaxseg.models.fcn_vgg import FCNVGG
from jaxseg.models.resampling import bilinear_kernel

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
NARROW = {"width": 4, "hidden": 16}


@partial(jax.jit, static_argnums=0)
def logits_of(model, variables, image):
    return model.apply(variables, image, train=False)["logits"]


@pytest.fixture(scope="module")
def small():
    """A narrow FCN-8s, its variables with live scores, and an image that is no multiple of 32."""
    model = FCNVGG(5, **NARROW)
    return model, random_variables(template(model, (1, 64, 64, 3)), seed=8), random_image((2, 70, 90, 3), seed=8)


def test_logits_are_those_of_an_independent_build(small):
    pytest.importorskip("torch", reason="the live comparison needs torch")
    from torch_fcn import copied
    from torch_models import to_numpy, to_torch

    model, variables, image = small
    expected = to_numpy(copied(variables, 5, **NARROW)(to_torch(image)))
    assert relative_error(logits_of(model, variables, image), expected) < 1e-4


def test_logits_are_the_golden_ones(small):
    golden = np.load(GOLDEN / "fcn8s.npz")["logits"]
    assert relative_error(logits_of(*small)[:, ::4, ::4], golden) < 1e-4


@pytest.mark.parametrize("stride", [32, 16, 8])
@pytest.mark.parametrize("size", [(1, 33), (64, 96), (70, 31)])
def test_logits_have_the_size_of_the_image_and_float32(stride, size):
    model = FCNVGG(3, stride=stride, dtype=jnp.bfloat16, **NARROW)
    shape = jax.eval_shape(
        lambda x: model.init_with_output(jax.random.key(0), x, train=False)[0]["logits"], jnp.zeros((2, *size, 3))
    )
    assert (shape.shape, shape.dtype) == ((2, *size, 3), jnp.float32)


@pytest.mark.parametrize("layer", ["score_fc7", "score_pool4", "score_pool3"])
def test_every_score_reaches_every_part_of_the_output(small, layer):
    model, variables, image = small
    params = variables["params"]
    silent = params | {layer: jax.tree.map(np.zeros_like, params[layer])}
    difference = np.abs(logits_of(model, variables, image) - logits_of(model, {"params": silent}, image))
    assert (difference.max(axis=-1) > 1e-3).mean() > 0.99


@pytest.mark.parametrize(("stride", "skips"), [(32, ()), (16, ("pool4",)), (8, ("pool4", "pool3"))])
def test_coarser_nets_score_fewer_maps(stride, skips):
    names = set(template(FCNVGG(3, stride=stride, **NARROW), (1, 32, 32, 3))["params"])
    assert {name for name in names if name.startswith("score")} == {"score_fc7", *(f"score_{skip}" for skip in skips)}


def test_there_is_no_other_stride():
    with pytest.raises(ValueError, match="no stride 4; expected one of 32, 16, 8"):
        FCNVGG(3, stride=4)


def test_scores_start_at_zero_and_new_skips_leave_the_coarser_nets_scores(small):
    model, variables, image = small
    fresh = jax.jit(partial(model.init, train=False))(jax.random.key(0), image)["params"]
    assert not logits_of(model, {"params": fresh}, image).any()
    trained = {name: variables["params"][name] for name in ("backbone", "fc6", "fc7", "score_fc7")}
    upsampling = {"up_fc7_x32": {"kernel": bilinear_kernel(None, (64, 64, 5, 5), jnp.float32)}}
    coarse = logits_of(model.clone(stride=32), {"params": trained | upsampling}, image)
    fine = logits_of(model, {"params": fresh | trained}, image)
    # Bilinear interpolation in one go and in several are alike, but not the same.
    assert np.abs(fine - coarse)[:, 16:48, 16:48].mean() < 0.1 * np.std(coarse)


def test_dropout_drops_in_training(small):
    model, variables, image = small

    @jax.jit
    def training(key):
        return model.apply(variables, image, train=True, rngs={"dropout": key})["logits"]

    first, again, other = (training(jax.random.key(seed)) for seed in (0, 0, 1))
    chex.assert_trees_all_equal(first, again)
    assert np.abs(first - other).max() > 1e-2


def test_parameters_are_the_papers():
    """VGG16 without fc8, three score layers of 21 classes, and upsampling kernels of 4, 4 and 16 pixels."""
    shapes = template(FCNVGG(21), (1, 32, 32, 3))
    vgg = 138_357_544 - 4097 * 1000
    scores = (4096 + 1 + 512 + 1 + 256 + 1) * 21
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == vgg + scores + (16 + 16 + 256) * 21 * 21

from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_weights import random_image, random_variables, relative_error, template

from jaxseg.models.fcn_resnet import FCNResNet, resize_bilinear

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def test_bilinear_has_half_pixel_centres():
    row = jnp.array([0.0, 4.0]).reshape(1, 1, 2, 1)
    chex.assert_trees_all_close(resize_bilinear(row, (1, 4)).ravel(), jnp.array([0.0, 1.0, 3.0, 4.0]))


def test_logits_have_the_size_of_the_image_and_float32():
    model = FCNResNet(5, width=8, dtype=jnp.bfloat16)
    outputs = jax.eval_shape(
        lambda x: model.init_with_output(jax.random.key(0), x, train=False)[0], jnp.zeros((2, 40, 56, 3))
    )
    for name in ("logits", "aux_logits"):
        assert outputs[name].shape == (2, 40, 56, 5)
        assert outputs[name].dtype == jnp.float32


def test_the_auxiliary_head_can_be_left_out():
    shapes = template(FCNResNet(5, width=8, auxiliary=False), (1, 32, 32, 3))
    assert set(shapes["params"]) == {"backbone", "classifier"}


def test_parameters_are_as_many_as_torchvisions():
    shapes = template(FCNResNet(21), (1, 32, 32, 3))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == 35322218


@pytest.mark.slow
@pytest.mark.parametrize("depth", [50, 101])
def test_logits_are_torchvisions_golden(depth):
    golden = np.load(GOLDEN / f"fcn_resnet{depth}.npz")
    model = FCNResNet(21, depth)
    variables = random_variables(template(model, (1, 64, 64, 3)), seed=depth)
    outputs = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, random_image((1, 65, 72, 3), seed=depth))
    for name in ("logits", "aux_logits"):
        assert relative_error(outputs[name][:, ::8, ::8], golden[name]) < 1e-4

"""The U-Net on a ResNet: any size, an encoder that is the ResNet itself, skips that are alive."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_weights import random_image, random_variables, relative_error, template

from jaxseg.models.backbones.resnet import ResNet
from jaxseg.models.unet_resnet import SKIPS, UNetResNet


@partial(jax.jit, static_argnums=0)
def logits_of(model, variables, image):
    return model.apply(variables, image, train=False)["logits"]


@pytest.fixture(scope="module")
def small():
    model = UNetResNet(3, depth=18, width=8)
    return model, random_variables(template(model, (1, 64, 64, 3)), seed=1), random_image((2, 50, 70, 3), seed=1)


@pytest.mark.parametrize("depth", [18, 34, 50])
@pytest.mark.parametrize("size", [(1, 33), (64, 96), (70, 31)])
def test_logits_have_the_size_of_the_image_and_float32(depth, size):
    model = UNetResNet(3, depth, width=8, dtype=jnp.bfloat16)
    shape = jax.eval_shape(
        lambda x: model.init_with_output(jax.random.key(0), x, train=False)[0]["logits"], jnp.zeros((2, *size, 3))
    )
    assert (shape.shape, shape.dtype) == ((2, *size, 3), jnp.float32)


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_the_encoder_is_the_resnet(depth):
    shapes = template(UNetResNet(3, depth), (1, 64, 64, 3))
    encoder = {collection: shapes[collection]["backbone"] for collection in shapes}
    assert encoder == template(ResNet(depth), (1, 64, 64, 3))


@pytest.mark.parametrize(("skip", "channels"), [*zip(SKIPS, (32, 16, 8, 8), strict=True)])
def test_every_skip_is_alive(small, skip, channels):
    """Without what the decoder makes of a stage's features, the output is another."""
    model, variables, image = small
    name = f"decoder_{skip}_1"
    kernel = variables["params"][name]["conv"]["kernel"]
    assert kernel.shape[2] == kernel.shape[3] + channels
    silent = np.array(kernel)
    silent[:, :, -channels:] = 0
    params = variables["params"] | {name: variables["params"][name] | {"conv": {"kernel": silent}}}
    without = logits_of(model, variables | {"params": params}, image)
    assert relative_error(without, logits_of(model, variables, image)) > 0.02


def test_frozen_norms_stay_and_live_ones_learn(small):
    live, variables, image = small

    def changed(model, variables):
        training = jax.jit(lambda v: model.apply(v, image, train=True, mutable=["batch_stats"])[1])
        before, after = variables["batch_stats"], training(variables)["batch_stats"]
        return jax.tree.map(lambda a, b: not np.array_equal(a, b), before, after)

    frozen = live.clone(norm="frozen")
    shapes = template(frozen, (1, 64, 64, 3))
    assert "bn1" not in shapes["params"]["backbone"]
    assert jax.tree.all(changed(live, variables))
    learns = changed(frozen, random_variables(shapes, seed=2))
    assert not any(jax.tree.leaves(learns.pop("backbone")))
    assert jax.tree.all(learns)


def test_padding_inside_is_padding_outside(small):
    model, variables, image = small
    outside = jnp.pad(image, ((0, 0), (0, 14), (0, 26), (0, 0)))
    assert relative_error(logits_of(model, variables, outside)[:, :50, :70], logits_of(model, variables, image)) < 1e-5

"""Weights of a Keras U-Net: biases fold into means without a trace, and lists that do not fit are refused."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxseg.models.unet import UNet
from jaxseg.weights.keras import from_keras

MODEL = UNet(classes=3, features=4, depth=2)


@pytest.fixture(scope="module")
def template():
    return jax.eval_shape(lambda: MODEL.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)), train=False))


def _keras_weights(template):
    """What get_weights() of the Keras network of this shape would list, of random numbers."""
    rng = np.random.default_rng(0)

    def normal(*shape):
        return (0.3 * rng.standard_normal(shape)).astype(np.float32)

    weights = []
    for layer in ("encoder_0", "encoder_1", "bottleneck", "up_1", "decoder_1", "up_0", "decoder_0", "head"):
        shapes = template["params"][layer]
        if "kernel" in shapes:
            *_, inputs, outputs = shapes["kernel"].shape
            kernel = (1, 1, inputs, outputs) if layer == "head" else (2, 2, outputs, inputs)
            weights += [normal(*kernel), normal(outputs)]
            continue
        for i in (1, 2):
            kernel = shapes[f"conv_{i}"]["kernel"].shape
            features = kernel[-1]
            weights += [normal(*kernel), normal(features), 1 + normal(features), normal(features)]
            weights += [normal(features), rng.uniform(0.5, 1.5, features).astype(np.float32)]
    return weights


@jax.jit
def _logits(variables, image):
    return MODEL.apply(variables, image, train=False)["logits"]


IMAGE = np.random.default_rng(1).standard_normal((1, 8, 8, 3), dtype=np.float32)


def test_every_array_finds_its_place(template):
    weights = _keras_weights(template)
    assert sum(array.size for array in weights) == sum(leaf.size for leaf in jax.tree.leaves(template)) + 2 * (
        2 * 4 + 2 * 8 + 16  # the biases that ours has not: two a block, of which there are two at 4 and at 8 features
    )
    variables = from_keras(weights, template)
    chex.assert_trees_all_equal_shapes_and_dtypes(variables, template)
    np.testing.assert_array_equal(variables["params"]["encoder_0"]["conv_1"]["kernel"], weights[0])
    np.testing.assert_array_equal(variables["params"]["encoder_0"]["norm_1"]["scale"], weights[2])
    np.testing.assert_array_equal(variables["params"]["encoder_0"]["norm_1"]["bias"], weights[3])
    np.testing.assert_array_equal(variables["batch_stats"]["encoder_0"]["norm_1"]["var"], weights[5])
    np.testing.assert_array_equal(variables["params"]["up_1"]["kernel"][1, 0], weights[36][1, 0].T)
    np.testing.assert_array_equal(variables["params"]["head"]["bias"], weights[-1])


def test_a_bias_before_a_norm_moves_into_its_mean(template):
    """Adding the same to a bias and to the mean after it changes nothing; adding it to one of them does."""
    weights = _keras_weights(template)
    logits = _logits(from_keras(weights, template), IMAGE)
    weights[1] = weights[1] + 0.5
    assert not np.allclose(_logits(from_keras(weights, template), IMAGE), logits, atol=1e-3)
    weights[4] = weights[4] + 0.5
    chex.assert_trees_all_close(_logits(from_keras(weights, template), IMAGE), logits, rtol=1e-5, atol=1e-4)


def test_the_order_of_the_concatenation_can_be_the_other(template):
    ours = from_keras(_keras_weights(template), template)["params"]["decoder_1"]
    swapped = from_keras(_keras_weights(template), template, skips_first=False)["params"]["decoder_1"]
    np.testing.assert_array_equal(swapped["conv_1"]["kernel"][:, :, :8], ours["conv_1"]["kernel"][:, :, 8:])
    np.testing.assert_array_equal(swapped["conv_1"]["kernel"][:, :, 8:], ours["conv_1"]["kernel"][:, :, :8])
    np.testing.assert_array_equal(swapped["conv_2"]["kernel"], ours["conv_2"]["kernel"])


def test_lists_that_do_not_fit_are_refused(template):
    weights = _keras_weights(template)
    with pytest.raises(ValueError, match="ends before bias of head"):
        from_keras(weights[:-1], template)
    with pytest.raises(ValueError, match="1 of the 67 arrays are left over; expected 66"):
        from_keras([*weights, weights[-1]], template)
    with pytest.raises(ValueError, match=r"params/encoder_0/conv_1/kernel is \(3, 3, 1, 4\) .* but \(3, 3, 3, 4\)"):
        from_keras([weights[0][:, :, :1], *weights[1:]], template)
    with pytest.raises(ValueError, match="encoder_0: the bias of conv_1 is"):
        from_keras([*weights[:1], weights[1][:1], *weights[2:]], template)
    bare = UNet(classes=3, features=4, depth=2, norm="none")
    shapes = jax.eval_shape(lambda: bare.init(jax.random.key(0), IMAGE, train=False))
    with pytest.raises(ValueError, match="has no .*norm_1.*is its norm 'batch'"):
        from_keras(weights, shapes)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of numpy's, in Keras
def test_logits_are_those_of_keras(template):
    """Against the living library, where it is installed with JAX as its backend."""
    pytest.importorskip("keras")
    import keras
    from keras import layers

    def block(x, features):
        for _ in range(2):
            x = layers.Conv2D(features, 3, padding="same")(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        return x

    image = x = keras.Input((8, 8, 3))
    skips = []
    for level in range(2):
        x = block(x, 4 << level)
        skips.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = block(x, 16)
    for level in (1, 0):
        x = layers.Conv2DTranspose(4 << level, 2, strides=2)(x)
        x = block(layers.Concatenate()([skips[level], x]), 4 << level)
    theirs = keras.Model(image, layers.Conv2D(3, 1)(x))
    theirs.set_weights(_keras_weights(template))
    variables = from_keras(theirs.get_weights(), template)
    chex.assert_trees_all_close(_logits(variables, IMAGE), np.asarray(theirs(IMAGE)), atol=1e-4)

"""U-Net: sizes, an independent numpy forward pass, living skips, and options that matter."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from jaxseg.models.unet import UNet, center_crop

SMALL = {"classes": 3, "features": 4, "depth": 2}


def _image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def _random_like(tree, seed=0):
    """Values for a tree of shapes: variances and scales around one, kernels that keep the variance, the rest small."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        if path[-1].key in ("var", "scale"):
            return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        deviation = np.sqrt(2 / np.prod(leaf.shape[:-1])) if leaf.ndim > 1 else 0.3
        return (deviation * rng.standard_normal(leaf.shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, tree)


def _variables(model, image, seed=0):
    return _random_like(jax.eval_shape(lambda: model.init(jax.random.key(0), image, train=False)), seed)


@partial(jax.jit, static_argnums=0)
def _logits(model, variables, image):
    return model.apply(variables, image, train=False)["logits"]


@partial(jax.jit, static_argnums=0)
def _training_step(model, variables, image, key=None):
    """Logits and the new running statistics."""
    rngs = None if key is None else {"dropout": key}
    out, updates = model.apply(variables, image, train=True, rngs=rngs, mutable=["batch_stats"])
    return out["logits"], updates["batch_stats"]


@pytest.fixture(scope="module")
def small():
    """A small network, its variables with running statistics of their own, and an image."""
    model, image = UNet(**SMALL), _image(2, 12, 8, 3)
    return model, _variables(model, image), image


def test_parameter_count_of_the_pets_example():
    shapes = jax.eval_shape(lambda: UNet(classes=4).init(jax.random.key(0), jnp.zeros((1, 160, 160, 3)), train=False))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == 7_700_356


def test_valid_padding_maps_572_to_388():
    model = UNet(classes=2, features=2, depth=4, padding="valid", norm="none")
    assert model.output_size(572, 572) == (388, 388)
    image = jax.ShapeDtypeStruct((1, 572, 572, 1), jnp.float32)
    out, _ = jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x, train=False), image)
    chex.assert_shape(out["logits"], (1, 388, 388, 2))


@pytest.mark.parametrize("fields", [{}, {"fit": "crop"}, {"padding": "valid"}, {"padding": "valid", "depth": 1}])
@pytest.mark.parametrize("size", [(16, 20), (47, 53), (44, 60)])
def test_output_size_is_the_size_of_the_output(fields, size):
    model = UNet(**{**SMALL, **fields})
    image = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)

    def build(x):
        return model.init_with_output(jax.random.key(0), x, train=False)[0]["logits"]

    try:
        expected = model.output_size(*size)
    except ValueError:
        assert model.padding == "valid"
        with pytest.raises(ValueError, match="does not go through"):
            jax.eval_shape(build, image)
        return
    chex.assert_shape(jax.eval_shape(build, image), (1, *expected, 3))


def test_an_image_that_does_not_fit_is_told_the_next_size_that_does():
    valid = UNet(classes=2, depth=4, padding="valid")
    with pytest.raises(ValueError, match=r"height 571 .* next larger height that does is 572"):
        valid.output_size(571, 572)
    with pytest.raises(ValueError, match=r"width 3 .* next larger width that does is 8"):
        UNet(classes=2, fit="crop").output_size(8, 3)


@pytest.mark.parametrize("field", ["padding", "fit", "norm", "initializer"])
def test_an_unknown_choice_is_named(field):
    with pytest.raises(ValueError, match=rf"{field} 'mirrored'.*expected"):
        UNet(classes=2, **{field: "mirrored"})


def test_padding_inside_is_padding_outside(small):
    model, variables, _ = small
    image = _image(1, 10, 7, 3)
    outside = jnp.pad(image, ((0, 0), (0, 2), (0, 1), (0, 0)))
    chex.assert_trees_all_close(
        _logits(model, variables, image), _logits(model, variables, outside)[:, :10, :7], atol=1e-6
    )


def test_cropping_skips_equals_padding_where_nothing_is_left_over_and_not_elsewhere(small):
    model, variables, image = small
    cropping = model.clone(fit="crop")
    chex.assert_trees_all_close(_logits(cropping, variables, image), _logits(model, variables, image), atol=1e-6)
    odd = _image(1, 9, 8, 3)
    cropped = _logits(cropping, variables, odd)
    chex.assert_shape(cropped, (1, 8, 8, 3))
    assert not np.allclose(cropped, _logits(model, variables, odd)[:, :8], atol=1e-3)


def _numpy_unet(variables, image, padding):
    """A depth-1 U-Net from its definition: correlations, windows and stamps, one image, one channel at a time."""
    params, stats = variables["params"], variables.get("batch_stats")

    def block(name, x):
        for i in (1, 2):
            conv = params[name][f"conv_{i}"]
            planes = [
                sum(signal.correlate(x[..., c], conv["kernel"][..., c, o], padding) for c in range(x.shape[-1]))
                for o in range(conv["kernel"].shape[-1])
            ]
            x = np.stack(planes, axis=-1) + conv.get("bias", 0)
            if stats:
                norm, running = params[name][f"norm_{i}"], stats[name][f"norm_{i}"]
                x = (x - running["mean"]) / np.sqrt(running["var"] + 1e-3) * norm["scale"] + norm["bias"]
            x = np.maximum(x, 0)
        return x

    skip = block("encoder_0", image)
    h, w, c = skip.shape
    x = block("bottleneck", skip.reshape(h // 2, 2, w // 2, 2, c).max((1, 3)))
    up = np.zeros((2 * x.shape[0], 2 * x.shape[1], c)) + params["up_0"]["bias"]
    for r, s in np.ndindex(2, 2):
        up[r::2, s::2] += x @ params["up_0"]["kernel"][r, s]
    top, left = (h - up.shape[0]) // 2, (w - up.shape[1]) // 2
    skip = skip[top : top + up.shape[0], left : left + up.shape[1]]
    x = block("decoder_0", np.concatenate([skip, up], axis=-1))
    return x @ params["head"]["kernel"] + params["head"]["bias"]


@pytest.mark.parametrize(("padding", "norm", "channels"), [("same", "batch", 3), ("valid", "none", 1)])
def test_logits_are_those_of_a_numpy_network(padding, norm, channels):
    model = UNet(classes=3, features=4, depth=1, padding=padding, norm=norm)
    image = _image(2, 20, 24, channels)
    variables = _variables(model, image)
    expected = np.stack([_numpy_unet(variables, one.astype(np.float64), padding) for one in image])
    chex.assert_trees_all_close(_logits(model, variables, image), expected.astype(np.float32), atol=1e-4)


@pytest.mark.parametrize("alive", [0, 1, 2])
def test_every_skip_is_alive(alive):
    """With all other ways through the network cut, the image still reaches the logits through this skip."""
    model = UNet(classes=3, features=4, depth=3)
    first, second = _image(1, 16, 16, 3), _image(1, 16, 16, 3, seed=1)
    variables = _variables(model, first)
    params = variables["params"]
    params[f"up_{alive}"]["kernel"] = np.zeros_like(params[f"up_{alive}"]["kernel"])
    for level in {0, 1, 2} - {alive}:
        params[f"decoder_{level}"]["conv_1"]["kernel"][:, :, : 4 << level] = 0

    def moved():
        return np.abs(_logits(model, variables, first) - _logits(model, variables, second)).max()

    assert moved() > 1e-2
    params[f"decoder_{alive}"]["conv_1"]["kernel"][:, :, : 4 << alive] = 0
    assert moved() == 0


def test_every_parameter_and_statistic_moves_the_logits(small):
    model, variables, image = small
    before = _logits(model, variables, image)
    leaves, structure = jax.tree.flatten(variables)
    for i, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(variables)):
        moved = [*leaves[:i], leaf + 0.2, *leaves[i + 1 :]]
        assert np.abs(_logits(model, jax.tree.unflatten(structure, moved), image) - before).max() > 1e-4, path


@pytest.mark.parametrize("fields", [{"norm_epsilon": 0.5}, {"dtype": jnp.bfloat16}, {"padding": "valid"}])
def test_options_change_the_output(small, fields):
    model, variables, _ = small
    image = _image(1, 44, 44, 3)
    other = model.clone(**fields)
    ours, theirs = _logits(model, variables, image), _logits(other, variables, image)
    assert ours.dtype == theirs.dtype == jnp.float32
    assert not np.array_equal(ours[:, :4, :4], theirs[:, :4, :4])


def test_a_convolution_has_a_bias_only_where_no_norm_follows(small):
    model, variables, image = small
    bare = _variables(model.clone(norm="none"), image)
    assert set(variables["params"]["bottleneck"]["conv_1"]) == {"kernel"}
    assert set(bare) == {"params"}
    assert {name: set(layer) for name, layer in bare["params"]["bottleneck"].items()} == {
        "conv_1": {"kernel", "bias"},
        "conv_2": {"kernel", "bias"},
    }


def test_bfloat16_stays_near_float32_and_keeps_float32_parameters(small):
    model, variables, image = small
    half = model.clone(dtype=jnp.bfloat16)
    chex.assert_trees_all_close(_logits(half, variables, image), _logits(model, variables, image), atol=0.1)
    initial, updates = jax.eval_shape(
        lambda: (
            half.init(jax.random.key(0), image, train=False),
            half.apply(variables, image, train=True, mutable=["batch_stats"])[1],
        )
    )
    assert {leaf.dtype for leaf in jax.tree.leaves((initial, updates))} == {jnp.dtype("float32")}


def test_momentum_is_the_share_of_the_old_statistics(small):
    model, variables, image = small

    def running(momentum):
        return _training_step(model.clone(norm_momentum=momentum), variables, image)[1]

    expected = jax.tree.map(lambda old, new: 0.75 * old + 0.25 * new, variables["batch_stats"], running(0.0))
    chex.assert_trees_all_close(running(0.75), expected, atol=1e-5)


def test_dropout_acts_in_training_alone(small):
    model, variables, image = small
    dropping = model.clone(dropout=0.5)
    chex.assert_trees_all_equal(_logits(dropping, variables, image), _logits(model, variables, image))
    first, again, other = (_training_step(dropping, variables, image, jax.random.key(seed))[0] for seed in (0, 0, 1))
    chex.assert_trees_all_equal(first, again)
    assert not np.array_equal(first, other)


def test_initializers_have_their_variance():
    def bottleneck(initializer):
        model = UNet(classes=2, features=32, depth=0, initializer=initializer)  # no level: few kernels to draw
        params = model.init(jax.random.key(0), jnp.zeros((1, 4, 4, 3)), train=False)["params"]
        return np.asarray(params["bottleneck"]["conv_2"]["kernel"])

    fan_in = fan_out = 9 * 32
    glorot, he = bottleneck("glorot_uniform"), bottleneck("he_normal")
    np.testing.assert_allclose(np.abs(glorot).max(), np.sqrt(6 / (fan_in + fan_out)), rtol=0.01)
    np.testing.assert_allclose(he.std(), np.sqrt(2 / fan_in), rtol=0.05)


def test_axis_name_shares_statistics_between_devices(small):
    """Two halves of a batch under a named axis give what the whole batch gives."""
    model, variables, image = small
    halves = image.reshape(2, 1, *image.shape[1:])

    def on_two_devices(model):
        return jax.vmap(lambda half: _training_step(model, variables, half), axis_name="devices")(halves)

    logits, stats = _training_step(model, variables, image)
    shared_logits, shared_stats = on_two_devices(model.clone(axis_name="devices"))
    chex.assert_trees_all_close(shared_logits[:, 0], logits, atol=1e-5)
    chex.assert_trees_all_close(jax.tree.map(lambda x: x[1], shared_stats), stats, atol=1e-5)
    alone_logits, _ = on_two_devices(model)
    assert not np.allclose(alone_logits[:, 0], logits, atol=1e-3)


def test_labels_are_cropped_to_the_output():
    model = UNet(**SMALL, padding="valid")
    label = np.arange(44 * 44).reshape(1, 44, 44)
    height, width = model.output_size(44, 44)
    assert (height, width) == (4, 4)  # so 20 pixels are missing on each side
    np.testing.assert_array_equal(center_crop(label, height, width)[0], label[0, 20:24, 20:24])

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxseg.models.mask_rcnn.fpn import FPN
from jaxseg.models.norms import norm_layer


@pytest.fixture(scope="module")
def backbone():
    """C2 to C5 of a 64x96 image."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal((1, 16 >> i, 24 >> i, 4 << i)).astype(np.float32) for i in range(4)]


@pytest.fixture(scope="module")
def pyramid(backbone):
    model = FPN(channels=8)
    variables = jax.jit(model.init)(jax.random.key(0), backbone)
    apply = jax.jit(model.apply)
    return lambda features, extents=None: apply(variables, features, extents)


def test_levels_halve_and_the_last_is_every_second_position(backbone, pyramid):
    levels = pyramid(backbone)
    assert [level.shape for level in levels] == [(1, 16 >> i, 24 >> i, 8) for i in range(4)] + [(1, 1, 2, 8)]
    chex.assert_trees_all_equal(levels[4], levels[3][:, ::2, ::2])


@pytest.mark.parametrize("changed", range(4))
def test_each_feature_reaches_its_own_level_and_those_below(backbone, pyramid, changed):
    before = pyramid(backbone)
    after = pyramid([x + 1 if i == changed else x for i, x in enumerate(backbone)])
    moved = [bool(np.abs(a - b).max() > 1e-3) for a, b in zip(after, before, strict=True)]
    assert moved == [level <= changed for level in range(4)] + [changed == 3]


def test_the_way_down_repeats_each_position_four_times(backbone):
    """With identities for all convolutions, P2 is C2 + up(C3 + up(C4 + up(C5)))."""
    features = [np.ones((1, 8 >> i, 8 >> i, 2), np.float32) * 10**i for i in range(4)]
    model = FPN(channels=2)
    variables = jax.tree.map(np.zeros_like, jax.jit(model.init)(jax.random.key(0), features))
    for name, block in variables["params"].items():
        center = (0, 0) if name.startswith("inner") else (1, 1)
        block["conv"]["kernel"][center] = np.eye(2)
    features[3][0, 0, 0, 0] = 5000
    levels = jax.jit(model.apply)(variables, features)
    np.testing.assert_allclose(levels[0][0, :, :, 0], np.full((8, 8), 5111))
    np.testing.assert_allclose(levels[0][0, :, :, 1], np.full((8, 8), 1111))


def test_what_lies_beyond_an_extent_does_not_leak(backbone, pyramid):
    small = [x[:, : 8 >> i, : 16 >> i] for i, x in enumerate(backbone)]
    inside = pyramid(backbone, jnp.array([[32, 64]]))
    for i, (actual, expected) in enumerate(zip(inside[:4], pyramid(small), strict=False)):
        chex.assert_trees_all_close(actual[:, : 8 >> i, : 16 >> i], expected, atol=1e-5)
    assert np.abs(pyramid(backbone)[0][:, :8, :16] - pyramid(small)[0]).max() > 1e-3


def test_with_norms_the_convolutions_have_no_bias(backbone):
    model = FPN(8, norm_layer("batch", train=False))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), backbone))
    for block in shapes["params"].values():
        assert set(block["conv"]) == {"kernel"}
        assert set(block["norm"]) == {"scale", "bias"}

"""RoIAlign: known answers, torchvision's numbers and gradients, a plain numpy loop, both forms alike, pyramids."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from torchvision_oracle import load_torchvision

from jaxseg.ops.roi_align import ADAPTIVE, pyramid_level, pyramid_roi_align, roi_align

FORMS = ["gather", "einsum"]
BINS = (3, 2)
RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(10, 13, 3)).astype(np.float32)

jitted = jax.jit(roi_align, static_argnames=("output_size", "scale", "sampling_ratio", "aligned", "form"))
pool = partial(jitted, output_size=BINS, scale=0.25, sampling_ratio=2, aligned=False)


def all_kinds_of_boxes():
    """Inside, across and outside a map of 10x13 at stride 4, of no size, on whole cells, and far away."""
    corners, sides = RANDOM.uniform(-20, 50, (40, 2)), RANDOM.uniform(0, 45, (40, 2))
    sides[:6] = 0
    sides[6:9, 0] = 0
    boxes = np.concatenate([corners, corners + sides], axis=1).astype(np.float32)
    boxes[9:20] = np.round(boxes[9:20] / 4) * 4
    edges = [[-4, -4, 52, 40], [-8, -8, -4, -4], [52, 40, 56, 44], [-500, -500, 900, 900], [900, 900, 950, 990]]
    return np.concatenate([boxes, np.array(edges, np.float32)])


BOXES = all_kinds_of_boxes()


def looped_roi_align(features, boxes, output_size, scale, sampling_ratio, aligned):
    """The definition, one sample at a time."""
    out = np.zeros((len(boxes), *output_size, features.shape[2]))
    for n, (x1, y1, x2, y2) in enumerate(boxes.astype(np.float64) * scale - 0.5 * aligned):
        axes = []
        for start, side, bins in [(y1, y2 - y1, output_size[0]), (x1, x2 - x1, output_size[1])]:
            length = (side if aligned else max(side, 1)) / bins
            count = sampling_ratio or max(int(np.ceil(length)), 0)
            axes.append([[start + (i + (s + 0.5) / count) * length for s in range(count)] for i in range(bins)])
        for i, rows in enumerate(axes[0]):
            for j, columns in enumerate(axes[1]):
                samples = [sample_at(features, y, x) for y in rows for x in columns]
                out[n, i, j] = np.mean(samples, axis=0) if samples else 0
    return out


def sample_at(features, y, x):
    height, width, channels = features.shape
    if y < -1 or y > height or x < -1 or x > width:
        return np.zeros(channels)
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = features[top, left] * (left + 1 - x) + features[top, right] * (x - left)
    lower = features[bottom, left] * (left + 1 - x) + features[bottom, right] * (x - left)
    return upper * (top + 1 - y) + lower * (y - top)


@pytest.mark.parametrize("form", FORMS)
def test_a_ramp_is_pooled_at_the_centres_of_bins(form):
    ramp = jnp.broadcast_to(jnp.arange(13.0)[None, :, None], (10, 13, 1))
    pooled = pool(ramp, jnp.array([[8.0, 8, 24, 32]]), form=form)  # x 2..6 on the map: bins center on 3 and 5
    chex.assert_trees_all_close(pooled[0, :, :, 0], jnp.array([[3.0, 5.0]] * 3), rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_the_border_rule(form):
    ones = jnp.ones((10, 13, 1))
    boxes = jnp.array([[-4.0, 0, 0, 4], [-12, 0, -8, 4], [0, 36, 4, 40], [0, 48, 4, 52]])
    pooled = pool(ones, boxes, form=form).mean(axis=(1, 2, 3))
    assert pooled.tolist() == [1, 0, 1, 0]  # within a cell of the border, beyond it, and the same below


def test_textbook_example():
    # A 665-pixel box on an 800-pixel image at stride 32 is 20.78 cells wide, 2.97 a bin of seven, and not rounded.
    ramp = jnp.broadcast_to(jnp.arange(25.0)[None, :, None], (25, 25, 1))
    box = jnp.array([[0.0, 0.0, 665.0, 665.0]])
    pooled = jitted(ramp, box, output_size=(7, 7), scale=1 / 32, sampling_ratio=2, aligned=False, form="einsum")
    bin_width = 665 / 32 / 7
    assert round(665 / 32, 2) == 20.78
    assert round(bin_width, 2) == 2.97
    chex.assert_trees_all_close(pooled[0, 0, :, 0], (jnp.arange(7.0) + 0.5) * bin_width, rtol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("aligned", [False, True])
def test_same_as_the_definition(form, aligned):
    pooled = pool(FEATURES, BOXES, aligned=aligned, form=form)
    expected = looped_roi_align(FEATURES, BOXES, BINS, 0.25, 2, aligned)
    chex.assert_trees_all_close(np.asarray(pooled, np.float64), expected, atol=1e-5)


@pytest.mark.parametrize("aligned", [False, True])
def test_adaptive_same_as_the_definition(aligned):
    pooled = pool(FEATURES, BOXES[:-2], sampling_ratio=ADAPTIVE, aligned=aligned, form="einsum")
    expected = looped_roi_align(FEATURES, BOXES[:-2], BINS, 0.25, ADAPTIVE, aligned)
    chex.assert_trees_all_close(np.asarray(pooled, np.float64), expected, atol=1e-5)


CASES = [
    ("gather", 2, False, 0.25),
    ("einsum", 2, False, 0.25),
    ("gather", 1, True, 1.0),
    ("einsum", 3, True, 1.0),
    ("einsum", ADAPTIVE, False, 1.0),
    ("einsum", ADAPTIVE, True, 0.25),
]


@pytest.mark.parametrize(("form", "ratio", "aligned", "scale"), CASES)
def test_value_and_gradient_are_torchvisions(form, ratio, aligned, scale):
    torchvision = load_torchvision()
    torch = torchvision.torch
    pooled, transpose = jax.vjp(
        lambda f, b: jitted(f, b, output_size=BINS, scale=scale, sampling_ratio=ratio, aligned=aligned, form=form),
        FEATURES,
        BOXES,
    )
    seed = np.random.default_rng(1).normal(size=pooled.shape).astype(np.float32)
    gradient, box_gradient = transpose(seed)

    features = torch.from_numpy(FEATURES).permute(2, 0, 1)[None].requires_grad_()
    expected = torchvision.ops.roi_align(features, [torch.from_numpy(BOXES)], BINS, scale, ratio or -1, aligned)
    expected.backward(torch.from_numpy(seed).permute(0, 3, 1, 2))
    chex.assert_trees_all_close(np.asarray(pooled), expected.detach().permute(0, 2, 3, 1).numpy(), atol=1e-5, rtol=0)
    chex.assert_trees_all_close(np.asarray(gradient), features.grad[0].permute(1, 2, 0).numpy(), atol=1e-5, rtol=1e-5)
    assert not box_gradient.any()


@pytest.mark.parametrize("form", FORMS)
def test_gradient_by_differences(form):
    # Pooling is linear in the features, so that a long step is exact.
    check_grads(lambda f: pool(f, BOXES[20:24], form=form), (FEATURES,), order=1, modes=["rev"], eps=1.0)


@pytest.mark.parametrize("form", FORMS)
def test_moving_image_and_box_together_changes_nothing(form):
    moved = jnp.pad(FEATURES, ((3, 0), (2, 0), (0, 0)))[:10, :13]
    boxes = jnp.array([[4.0, 4, 20, 16], [8, 5, 24, 20]])
    chex.assert_trees_all_close(
        pool(FEATURES, boxes, form=form), pool(moved, boxes + jnp.array([[8.0, 12, 8, 12]]), form=form), atol=1e-5
    )


@pytest.mark.parametrize(("form", "ratio"), [("gather", 2), ("einsum", 2), ("einsum", ADAPTIVE)])
def test_padding_beyond_the_extents_changes_nothing(form, ratio):
    padded = jnp.pad(FEATURES, ((0, 4), (0, 7), (0, 0)), constant_values=99.0)
    extents = jnp.array(FEATURES.shape[:2], jnp.int32)
    options = {"sampling_ratio": ratio, "form": form}
    chex.assert_trees_all_close(
        pool(padded, BOXES, extents=extents, **options), pool(FEATURES, BOXES, **options), atol=1e-5
    )


def test_adaptive_gather_is_refused():
    with pytest.raises(ValueError, match="Use form='einsum'"):
        roi_align(FEATURES, BOXES, output_size=BINS, scale=1.0, sampling_ratio=ADAPTIVE, aligned=False, form="gather")


def test_bfloat16_features_stay_bfloat16():
    for form in FORMS:
        pooled = pool(FEATURES.astype(jnp.bfloat16), BOXES, form=form)
        assert pooled.dtype == jnp.bfloat16
        expected = looped_roi_align(FEATURES, BOXES, BINS, 0.25, 2, False)
        chex.assert_trees_all_close(np.asarray(pooled, np.float64), expected, atol=0.05)


def test_level_of_a_box_by_hand():
    sides = np.array([0, 10, 111.9, 112, 223, 224, 447, 448, 5000], np.float32)
    boxes = np.stack([0 * sides, 0 * sides, sides, sides], axis=1)
    assert pyramid_level(jnp.asarray(boxes), 2, 5).tolist() == [2, 2, 2, 3, 3, 4, 4, 5, 5]


@pytest.fixture(scope="module")
def pyramid():
    levels = [RANDOM.normal(size=(32 >> i, 40 >> i, 2)).astype(np.float32) for i in range(4)]
    corners, sides = RANDOM.uniform(-10, 100, (30, 2)), np.exp(RANDOM.uniform(2, 7, (30, 2)))
    return levels, np.concatenate([corners, corners + sides], axis=1).astype(np.float32)


@partial(jax.jit, static_argnames="form")
def pool_pyramid(features, boxes, levels, form):
    scales = [1 / 4, 1 / 8, 1 / 16, 1 / 32]
    return pyramid_roi_align(
        features, boxes, levels, output_size=BINS, scales=scales, sampling_ratio=2, aligned=False, form=form
    )


def test_an_unknown_form_is_named(pyramid):
    features, boxes = pyramid
    with pytest.raises(ValueError, match="form is 'gathr'; expected 'gather' or 'einsum'"):
        pool_pyramid(features, boxes, np.zeros(len(boxes), np.int32), "gathr")


@pytest.mark.parametrize("form", FORMS)
def test_each_box_is_pooled_from_its_own_level(form, pyramid):
    features, boxes = pyramid
    levels = np.asarray(pyramid_level(jnp.asarray(boxes), 2, 5)) - 2
    assert set(levels) == {0, 1, 2, 3}
    pooled, transpose = jax.vjp(lambda f: pool_pyramid(f, boxes, levels, form), features)
    gradient = transpose(jnp.ones_like(pooled))[0]
    for i in range(4):
        expected = looped_roi_align(features[i], boxes[levels == i], BINS, 0.25 / 2**i, 2, False)
        chex.assert_trees_all_close(np.asarray(pooled, np.float64)[levels == i], expected, atol=1e-5)
        # What flows back into a map is as much as its boxes' samples that lie inside.
        inside = looped_roi_align(np.ones_like(features[i]), boxes[levels == i], BINS, 0.25 / 2**i, 2, False).sum()
        assert float(gradient[i].sum()) == pytest.approx(inside, rel=1e-5)


def test_the_pyramid_is_torchvisions(pyramid):
    torchvision = load_torchvision()
    torch = torchvision.torch
    features, boxes = pyramid
    pooler = torchvision.ops.MultiScaleRoIAlign(["0", "1", "2", "3"], BINS, 2)
    maps = {str(i): torch.from_numpy(f).permute(2, 0, 1)[None] for i, f in enumerate(features)}
    expected = pooler(maps, [torch.from_numpy(boxes)], [(128, 160)]).permute(0, 2, 3, 1).numpy()
    levels = np.asarray(pyramid_level(jnp.asarray(boxes), 2, 5)) - 2
    for form in FORMS:
        pooled = pool_pyramid(features, boxes, levels, form)
        chex.assert_trees_all_close(np.asarray(pooled), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("form", FORMS)
def test_vmaps_over_images(form):
    def energy(features, boxes):
        return (pool(features, boxes, form=form) ** 2).sum()

    energy_and_gradient = jax.value_and_grad(energy)
    images = jnp.stack([FEATURES, FEATURES[::-1]])
    boxes = jnp.stack([BOXES[:8], BOXES[8:16]])
    together = jax.jit(jax.vmap(energy_and_gradient))(images, boxes)
    for i in range(2):
        alone = energy_and_gradient(images[i], boxes[i])
        chex.assert_trees_all_close(jax.tree.map(lambda x, i=i: x[i], together), alone, rtol=1e-5, atol=1e-5)


def test_the_gradient_of_few_boxes_per_turn_is_that_of_one_scatter():
    """The CPU's form and the other one."""
    weights = jnp.asarray(RANDOM.normal(size=(len(BOXES), *BINS, FEATURES.shape[-1])), jnp.float32)

    def gradient(features, cpu_kernels):
        options = {"scale": 0.25, "sampling_ratio": 2, "aligned": False, "form": "gather"}

        def total(features):
            return (roi_align(features, BOXES, output_size=BINS, cpu_kernels=cpu_kernels, **options) * weights).sum()

        return jax.jit(jax.grad(total))(features)

    chex.assert_trees_all_close(gradient(FEATURES, True), gradient(FEATURES, False), atol=1e-5)
    half = gradient(FEATURES.astype(jnp.bfloat16), False)
    assert half.dtype == jnp.bfloat16
    # Contributions are added in float32, so only the result is rounded.
    chex.assert_trees_all_close(half.astype(jnp.float32), gradient(FEATURES, False), rtol=2**-7, atol=0.05)

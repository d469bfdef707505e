import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import Var
from random_weights import random_image, random_variables, relative_error

from jaxseg.data.resize import batch_images, bucket_of, buckets, resized_size
from jaxseg.models.mask_rcnn.detections import in_original_pixels, pasted_masks
from jaxseg.models.mask_rcnn.model import FixedSamples, MaskRCNN
from jaxseg.models.mask_rcnn.postprocessing import DetectionConfig
from jaxseg.models.mask_rcnn.rpn import ProposalConfig, Proposals, place_anchors
from jaxseg.models.mask_rcnn.training import GroundTruth
from jaxseg.ops.anchors import pyramid_anchors
from jaxseg.ops.sampling import Samples
from jaxseg.tasks.instances import five_losses

FEW = ProposalConfig(pre_nms_top_n=40, post_nms_top_n=60)

NARROW = {
    "classes": 5,
    "depth": 18,
    "width": 8,
    "channels": 16,
    "hidden": 32,
    "anchor_sizes": ((16,), (32,), (64,), (128,), (256,)),
    "proposal": FEW,
    "training_proposal": FEW,
    "detection": DetectionConfig(max_detections=20),
}

# Random output layers shout: these factors bring logits to a spread of about 1 and deltas to about 0.3.
CALM = {
    ("rpn_head", "cls_logits"): 0.02,
    ("rpn_head", "bbox_pred"): 0.003,
    ("box_head", "cls_score"): 0.01,
    ("box_head", "bbox_pred"): 0.003,
    ("mask_head", "mask_fcn_logits"): 0.02,
}


def narrow(version=1, seed=0, **fields):
    model = MaskRCNN(version=version, **NARROW | {"norm": "batch"} | fields)
    image, sizes = jnp.zeros((1, 64, 64, 3)), jnp.full((1, 2), 64)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), image, sizes))
    variables = random_variables(shapes, seed)
    for (part, layer), factor in CALM.items():
        variables["params"][part][layer]["kernel"] *= factor
    return model, variables


@pytest.fixture(scope="module")
def image():
    return random_image((1, 96, 160, 3), seed=1)


@pytest.fixture(scope="module", params=[pytest.param(1, marks=pytest.mark.slow), 2], ids=["v1", "v2"])
def detector(request):
    model, variables = narrow(request.param)
    return model, variables, jax.jit(model.apply)


@pytest.mark.parametrize(("version", "norm", "count"), [(1, "frozen", 44401393), (2, "batch", 46359409)])
def test_parameters_are_as_many_as_torchvisions(version, norm, count):
    model = MaskRCNN(version=version, norm=norm)
    image, sizes = jnp.zeros((1, 64, 64, 3)), jnp.full((1, 2), 64)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), image, sizes))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == count


def test_an_unknown_version_is_named():
    with pytest.raises(ValueError, match="no version 3"):
        narrow(version=3)


def test_padding_further_changes_no_answer(detector, image):
    _, variables, apply = detector
    sizes, extents = jnp.array([[90, 150]]), jnp.array([[96, 160]])
    image = np.where(inside(image.shape[1:3], (90, 150)), image, 0)
    padded = jnp.pad(image, ((0, 0), (0, 64), (0, 32), (0, 0)))
    alone, bucketed = apply(variables, image, sizes), apply(variables, padded, sizes, extents)
    assert alone.valid.sum() > 10
    assert_same_instances(bucketed, alone)
    leaked = apply(variables, padded, sizes, jnp.array([[160, 192]]))
    assert np.abs(leaked.scores - alone.scores).max() > 1e-3


@pytest.mark.slow
def test_each_image_of_a_batch_is_as_if_alone(image):
    model, variables = narrow(version=2)
    apply = jax.jit(model.apply)
    small = image[:, :64, :96]
    batch = np.concatenate([image, np.pad(small, ((0, 0), (0, 32), (0, 64), (0, 0)))])
    both = apply(variables, batch, jnp.array([[96, 160], [64, 96]]), jnp.array([[96, 160], [64, 96]]))
    assert_same_instances(jax.tree.map(lambda x: x[:1], both), apply(variables, image, jnp.array([[96, 160]])))
    assert_same_instances(jax.tree.map(lambda x: x[1:], both), apply(variables, small, jnp.array([[64, 96]])))


def inside(shape, size):
    rows, columns = np.arange(shape[0]) < size[0], np.arange(shape[1]) < size[1]
    return (rows[:, None] & columns[None])[None, :, :, None]


def assert_same_instances(actual, expected):
    chex.assert_trees_all_equal(actual.valid, expected.valid)
    chex.assert_trees_all_equal(actual.classes, expected.classes)
    chex.assert_trees_all_close(actual.scores, expected.scores, atol=1e-5)
    chex.assert_trees_all_close(actual.boxes, expected.boxes, atol=1e-3)
    masks = expected.valid[..., None, None]
    chex.assert_trees_all_close(actual.masks * masks, expected.masks * masks, atol=1e-4)


@pytest.mark.slow
def test_a_folder_of_mixed_sizes_compiles_once_a_bucket():
    model, variables = narrow()
    choices = buckets(64, 128, lengths=1)
    assert len(choices) == 2
    apply = jax.jit(model.apply)
    rng = np.random.default_rng(0)
    used = set()
    for size in [(40, 50), (41, 83), (70, 40), (300, 150), (64, 64), (90, 101), (33, 99)]:
        photograph = rng.integers(0, 256, (*size, 3), np.uint8)
        bucket = bucket_of(resized_size(size, 64, 128), choices)
        batch = batch_images([photograph], 64, 128, bucket)
        apply(variables, batch.image, batch.sizes, batch.extents)
        used.add(bucket)
    assert apply._cache_size() == len(used) == len(choices)


@pytest.mark.parametrize("size", [(96, 160), (288, 320)])
def test_anchors_are_the_numpy_ones_of_an_image_of_that_extent(size):
    sizes = NARROW["anchor_sizes"]
    grids = [(-(-size[0] // s), -(-size[1] // s)) for s in (4, 8, 16, 32, 64)]
    expected = pyramid_anchors(sizes, grids, size)
    larger = [np.zeros((1, rows + 3, columns + 1, 1)) for rows, columns in grids]
    anchors, usable = jax.jit(place_anchors, static_argnums=(2, 3))(larger, np.array([size]), sizes, (0.5, 1.0, 2.0))
    for level, level_anchors in enumerate(expected):
        chex.assert_trees_all_equal(anchors[level][usable[level]], level_anchors)


def test_boxes_are_clipped_to_the_true_size(detector, image):
    _, variables, apply = detector
    found = apply(variables, image, jnp.array([[70, 120]]))
    boxes = np.asarray(found.boxes[found.valid])
    assert boxes.min() >= 0
    assert 100 < boxes[:, [0, 2]].max() <= 120
    assert 50 < boxes[:, [1, 3]].max() <= 70


@pytest.mark.slow
def test_slots_that_hold_nothing_say_so(image):
    model, variables = narrow(detection=DetectionConfig(max_detections=20, score_threshold=2.0))
    found = jax.jit(model.apply)(variables, image, jnp.array([[96, 160]]))
    assert not found.valid.any()
    assert (found.classes == 0).all()
    assert (found.scores == 0).all()
    assert not pasted_masks(found, (96, 160)).any()
    assert np.isfinite(found.masks).all()


@pytest.mark.slow
def test_one_program_leads_to_masks_in_original_pixels(image):
    model, variables = narrow()

    @jax.jit
    def segment(image, sizes, originals):
        found = in_original_pixels(model.apply(variables, image, sizes), sizes, originals)
        return found, pasted_masks(found, (200, 240))

    sizes, originals = jnp.array([[96, 160]]), jnp.array([[192, 240]])
    found, masks = segment(image, sizes, originals)
    factors = jnp.array([1.5, 2.0, 1.5, 2.0])[None, None]
    resized = jax.jit(model.apply)(variables, image, sizes).boxes
    chex.assert_trees_all_close(found.boxes, resized * factors, rtol=1e-5, atol=1e-3)
    assert masks.any(axis=(2, 3)).sum() > 5
    chex.assert_shape(masks, (1, 20, 200, 240))
    for box, mask, valid in zip(found.boxes[0], masks[0], found.valid[0], strict=True):
        rows, columns = np.nonzero(mask)
        if valid and rows.size:
            x1, y1, x2, y2 = np.asarray(box)
            assert x1 - 10 <= columns.min() <= columns.max() <= x2 + 10
            assert y1 - 10 <= rows.min() <= rows.max() <= y2 + 10


@pytest.mark.slow
@pytest.mark.parametrize("version", [1, 2])
def test_class_agnostic_heads_share_boxes_and_masks(image, version):
    model, variables = narrow(version, class_agnostic=True)
    assert variables["params"]["box_head"]["bbox_pred"]["bias"].shape == (4,)
    assert variables["params"]["mask_head"]["mask_fcn_logits"]["bias"].shape == (1,)
    found = jax.jit(model.apply)(variables, image, jnp.array([[96, 160]]))
    assert found.valid.sum() > 10
    assert set(np.unique(found.classes[found.valid])) <= {1, 2, 3, 4}


@pytest.mark.slow
def test_the_two_forms_of_roi_align_agree(image):
    model, variables = narrow()
    sizes = jnp.array([[96, 160]])
    expected = jax.jit(model.apply)(variables, image, sizes)
    padded = jnp.pad(image, ((0, 0), (0, 32), (0, 32), (0, 0)))
    einsum = jax.jit(model.clone(roi_align="einsum").apply)
    assert_same_instances(einsum(variables, padded, sizes, sizes), expected)


def test_half_precision_answers_in_float32(image):
    model, variables = narrow(dtype=jnp.bfloat16)
    found = jax.eval_shape(model.apply, variables, image, jnp.array([[96, 160]]))
    assert {leaf.dtype for leaf in (found.boxes, found.scores, found.masks)} == {jnp.dtype("float32")}


def test_half_precision_holds_no_box_and_no_loss(image):
    """Of all arrays of a training step, those of four numbers a place are boxes and deltas: none is bfloat16."""
    model, variables = narrow(2, train=True, dtype=jnp.bfloat16)

    def losses(image, truth):
        outputs, _ = model.apply(
            variables,
            image,
            jnp.array([[96, 160]]),
            truth,
            jax.random.key(0),
            method="training",
            mutable=["batch_stats"],
        )
        return five_losses(outputs)

    program = jax.make_jaxpr(losses)(image, ground_truth(*OBJECTS["two objects"]))
    assert re.search(r"bf16\[1,24,40,16\]", str(program))  # the pyramid's finest level
    assert re.search(r"f32\[1,60,4\]", str(program))  # the proposals
    assert not re.findall(r"bf16\[(?:\d+,)*4\]", str(program))
    assert {aval.dtype for aval in program.out_avals} == {jnp.dtype("float32")}


def ground_truth(boxes, usable, size=(96, 160)):
    """Objects that fill their boxes."""
    boxes = np.array(boxes, np.float32).reshape(1, -1, 4)
    rows, columns = np.arange(size[0])[:, None], np.arange(size[1])[None]
    masks = [(columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2) for x1, y1, x2, y2 in boxes[0]]
    classes = np.arange(1, boxes.shape[1] + 1, dtype=np.int32)[None]
    return GroundTruth(boxes, classes, np.array(masks, np.uint8)[None], np.array(usable, bool)[None])


OBJECTS = {
    "two objects": ([[10, 10, 60, 50], [80, 20, 150, 90]], [True, True]),
    "none": ([[0, 0, 0, 0], [0, 0, 0, 0]], [False, False]),
    "a crowd only": ([[10, 10, 150, 90], [0, 0, 0, 0]], [False, False]),
    "degenerate boxes": ([[30, 30, 30, 30], [40, 10, 40, 80]], [True, True]),
    "out of the image": ([[-50, -20, -10, 90], [150, 80, 400, 300]], [True, True]),
    "one pixel": ([[70, 40, 71, 41], [0, 0, 1, 1]], [True, True]),
}


@pytest.fixture(scope="module", params=[pytest.param(1, marks=pytest.mark.slow), 2], ids=["v1", "v2"])
def training_step(request):
    model, variables = narrow(request.param, train=True)

    def total(params, image, truth):
        outputs, stats = model.apply(
            {**variables, "params": params},
            image,
            jnp.array([[96, 160]]),
            truth,
            jax.random.key(0),
            method="training",
            mutable=["batch_stats"],
        )
        losses = {name: mean.value() for name, mean in five_losses(outputs).items()}
        return sum(losses.values()), (losses, stats)

    step = jax.jit(jax.value_and_grad(total, has_aux=True))
    return lambda image, truth: step(variables["params"], image, truth)


@pytest.mark.parametrize("name", OBJECTS)
def test_whatever_the_objects_losses_and_gradients_are_finite(training_step, image, name):
    (_, (losses, stats)), grads = training_step(image, ground_truth(*OBJECTS[name]))
    for value in (*losses.values(), *jax.tree.leaves((grads, stats))):
        assert np.isfinite(value).all()
    assert losses["loss_objectness"] > 0
    assert losses["loss_classifier"] > 0
    if name in ("none", "a crowd only"):
        assert losses["loss_rpn_box_reg"] == losses["loss_box_reg"] == losses["loss_mask"] == 0
        assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(grads["mask_head"]))
    if name == "two objects":
        assert all(value > 0 for value in losses.values())
        assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(grads["rpn_head"]))


def test_objects_without_a_mask_train_the_box_branch_only(training_step, image):
    truth = ground_truth(*OBJECTS["two objects"])
    (_, (losses, _)), grads = training_step(image, truth._replace(masks=0 * truth.masks))
    assert losses["loss_mask"] == 0
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(grads["mask_head"]))
    assert losses["loss_box_reg"] > 0


@pytest.mark.slow
def test_padding_further_changes_no_loss(image):
    """Neither activations, nor batch statistics, nor which anchors may be drawn."""
    model, variables = narrow(2, train=True, mask_padding=True)
    truth = ground_truth(*OBJECTS["two objects"])
    key = jax.random.key(3)

    @jax.jit
    def outputs(image, truth, extents, drawn):
        arguments = (image, jnp.array([[96, 160]]), truth, key, extents, drawn)
        return model.apply(variables, *arguments, method="training", mutable=["batch_stats"])

    everything = jnp.ones((1, 30), bool)
    proposals = fixed_proposals()
    regions = Samples(jnp.arange(30)[None], jnp.arange(30)[None] < 6, everything)
    drawn = FixedSamples(None, proposals, regions)
    alone, stats = outputs(image, truth, None, drawn)
    padded = jnp.pad(image, ((0, 0), (0, 32), (0, 64), (0, 0)))
    wider = truth._replace(masks=np.pad(truth.masks, ((0, 0), (0, 0), (0, 32), (0, 64))))
    bucketed, bucketed_stats = outputs(padded, wider, jnp.array([[96, 160]]), drawn)
    assert relative_error(bucketed.class_logits, alone.class_logits) < 1e-4
    assert relative_error(bucketed.mask_logits, alone.mask_logits) < 1e-4
    chex.assert_trees_all_close(bucketed_stats, stats, atol=1e-4, rtol=1e-4)


def fixed_proposals():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 60, (1, 60, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + rng.uniform(5, 36, (1, 60, 2)).astype(np.float32)], axis=-1)
    return Proposals(boxes, np.ones((1, 60), np.float32), np.ones((1, 60), bool))


@pytest.mark.parametrize("mask_padding", [False, True])
def test_training_knows_what_is_padding_only_if_it_is_asked_to_mask_it(image, mask_padding):
    """As in torchvision, whose training takes all of a batch as image."""
    model, variables = narrow(train=True, mask_padding=mask_padding)
    truth, key = ground_truth(*OBJECTS["two objects"]), jax.random.key(3)

    def outputs(extents):
        arguments = (image, jnp.array([[90, 150]]), truth, key, extents)
        return model.apply(variables, *arguments, method="training", mutable=["batch_stats"])

    traced = jax.make_jaxpr(outputs)(jnp.array([[96, 160]])).jaxpr
    used = {variable for equation in traced.eqns for variable in equation.invars if isinstance(variable, Var)}
    assert (traced.invars[0] in used) == mask_padding

"""Detection losses: by hand, torchvision's, additive over parts of a batch, finite where there is nothing to learn."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from torchvision_oracle import load_torchvision

from jaxseg.losses import mask_rcnn as instances
from jaxseg.ops import boxes as box_ops

SLOTS, CLASSES, SIZE = 12, 4, 5
RANDOM = np.random.default_rng(0)


def normal(*shape):
    return RANDOM.normal(0, 2, shape).astype(np.float32)


LOGITS, ANCHOR_DELTAS, GT_DELTAS = normal(SLOTS), normal(SLOTS, 4), normal(SLOTS, 4)
CLASS_LOGITS, CLASS_DELTAS = normal(SLOTS, CLASSES), normal(SLOTS, CLASSES, 4)
MASK_LOGITS, TARGETS = normal(SLOTS, SIZE, SIZE, CLASSES), RANDOM.random((SLOTS, SIZE, SIZE)).astype(np.float32)
GT_CLASSES = np.array([1, 3, 2, 0, 0, 0, 0, 0, 1, 2, 0, 0])
VALID = np.array([True] * 8 + [False] * 4)


@jax.jit
def all_losses(predictions, gt_classes, valid, gt_deltas=GT_DELTAS, targets=TARGETS):
    logits, anchor_deltas, class_logits, class_deltas, mask_logits = predictions
    positive = (gt_classes > 0) & valid
    return {
        "objectness": instances.objectness(logits, positive, valid),
        "rpn_boxes": instances.rpn_boxes(anchor_deltas, gt_deltas, positive, valid),
        "classification": instances.classification(class_logits, gt_classes, valid),
        "head_boxes": instances.head_boxes(class_deltas, gt_deltas, gt_classes, valid),
        "masks": instances.masks(mask_logits, targets, gt_classes, valid),
    }


PREDICTIONS = (LOGITS, ANCHOR_DELTAS, CLASS_LOGITS, CLASS_DELTAS, MASK_LOGITS)


@jax.jit
def values(predictions, gt_classes, valid, gt_deltas=GT_DELTAS, targets=TARGETS):
    losses = all_losses(predictions, gt_classes, valid, gt_deltas, targets)
    return {name: mean.value() for name, mean in losses.items()}


@jax.jit
def gradients(predictions, gt_classes, valid, gt_deltas=GT_DELTAS, targets=TARGETS):
    return jax.grad(lambda p: sum(values(p, gt_classes, valid, gt_deltas, targets).values()))(predictions)


def test_by_hand():
    zeros = tuple(jnp.zeros_like(x) for x in PREDICTIONS)
    got = values(zeros, GT_CLASSES, VALID, jnp.ones((SLOTS, 4)), jnp.ones((SLOTS, SIZE, SIZE)))
    box = 3 * 4 * (1 - 1 / 18) / 8  # three positives, four coordinates, distance 1, eight samples
    expected = {
        "objectness": np.log(2),
        "rpn_boxes": box,
        "classification": np.log(CLASSES),
        "head_boxes": box,
        "masks": np.log(2),
    }
    chex.assert_trees_all_close(got, jax.tree.map(jnp.float32, expected), rtol=1e-6)


def test_smooth_l1_by_hand():
    beta = instances.SMOOTH_L1_BETA
    got = instances.smooth_l1(jnp.array([0.0, beta / 2, beta, -1.0]), jnp.zeros(4))
    chex.assert_trees_all_close(got, jnp.array([0.0, beta / 8, beta / 2, 1 - beta / 2]), rtol=1e-6)


def test_values_and_gradients_are_torchvisions():
    torchvision = load_torchvision()
    torch = torchvision.torch
    heads = torchvision.models.detection.roi_heads
    predictions = [torch.from_numpy(x[VALID]).requires_grad_() for x in PREDICTIONS]
    logits, anchor_deltas, class_logits, class_deltas, mask_logits = predictions
    gt_classes, gt_deltas = torch.from_numpy(GT_CLASSES[VALID]), torch.from_numpy(GT_DELTAS[VALID])
    positive = gt_classes > 0
    expected = {
        "objectness": torch.nn.functional.binary_cross_entropy_with_logits(logits, positive.float()),
        "rpn_boxes": torch.nn.functional.smooth_l1_loss(
            anchor_deltas[positive], gt_deltas[positive], beta=1 / 9, reduction="sum"
        )
        / len(gt_classes),
    }
    class_loss, box_loss = heads.fastrcnn_loss(class_logits, class_deltas.flatten(1), [gt_classes], [gt_deltas])
    # Ground truth masks of 5x5 pixels framed whole, 5x5 bins: the targets are these masks themselves.
    frames = torch.tensor([[0.0, 0, SIZE, SIZE]]).expand(3, 4)
    gt_masks = torch.from_numpy(TARGETS[:3])
    targets = heads.project_masks_on_boxes(gt_masks, frames, torch.arange(3), SIZE).numpy()
    mask_loss = heads.maskrcnn_loss(
        mask_logits.permute(0, 3, 1, 2)[positive], [frames], [gt_masks], [gt_classes[positive]], [torch.arange(3)]
    )
    expected |= {"classification": class_loss, "head_boxes": box_loss, "masks": mask_loss}

    targets = np.concatenate([targets, TARGETS[3:]])
    got = values(PREDICTIONS, GT_CLASSES, VALID, GT_DELTAS, targets)
    chex.assert_trees_all_close(got, {k: jnp.float32(v.item()) for k, v in expected.items()}, rtol=1e-5)
    sum(expected.values()).backward()
    for gradient, prediction in zip(
        gradients(PREDICTIONS, GT_CLASSES, VALID, GT_DELTAS, targets), predictions, strict=True
    ):
        chex.assert_trees_all_close(np.asarray(gradient)[VALID], prediction.grad.numpy(), atol=1e-6)


def test_filler_weighs_nothing_whatever_is_in_it():
    filler = ~VALID
    poisoned = [x.copy() for x in (*PREDICTIONS, GT_DELTAS, TARGETS)]
    for x, poison in zip(poisoned, [np.inf, np.nan, -np.inf, np.nan, np.inf, np.inf, np.nan], strict=True):
        x[filler] = poison
    arguments = tuple(poisoned[:5]), GT_CLASSES, VALID, poisoned[5], poisoned[6]
    chex.assert_trees_all_close(values(*arguments), values(PREDICTIONS, GT_CLASSES, VALID))
    poisoned_gradients = gradients(*arguments)
    chex.assert_tree_all_finite(poisoned_gradients)
    assert not any(g[filler].any() for g in poisoned_gradients)


@pytest.mark.parametrize("valid", [VALID, np.zeros(SLOTS, bool)])
def test_no_positives(valid):
    background = np.zeros(SLOTS, int)
    got = values(PREDICTIONS, background, valid)
    assert float(got["rpn_boxes"]) == float(got["head_boxes"]) == float(got["masks"]) == 0
    assert (float(got["classification"]) > 0) == valid.any()
    _, anchor_deltas, _, class_deltas, mask_logits = gradients(PREDICTIONS, background, valid)
    assert not any(g.any() for g in (anchor_deltas, class_deltas, mask_logits))
    chex.assert_tree_all_finite((got, gradients(PREDICTIONS, background, valid)))


def test_saturated_logits_stay_finite():
    huge = tuple(x * 1e30 for x in PREDICTIONS)
    chex.assert_tree_all_finite((values(huge, GT_CLASSES, VALID), gradients(huge, GT_CLASSES, VALID)))


def test_degenerate_boxes_give_finite_losses():
    flat = np.tile(np.array([[5, 5, 5, 5], [5, 5, 5, 9], [9, 9, 5, 5]], np.float32), (4, 1))
    fine = np.tile(np.array([[1, 1, 9, 9]], np.float32), (SLOTS, 1))
    for gt_boxes, boxes in ((flat, fine), (fine, flat), (flat, flat)):
        gt_deltas = box_ops.encode(jnp.asarray(gt_boxes), jnp.asarray(boxes), (10.0, 10.0, 5.0, 5.0))
        arguments = PREDICTIONS, GT_CLASSES, VALID, gt_deltas
        chex.assert_tree_all_finite((values(*arguments), gradients(*arguments)))


def test_sums_of_parts_are_the_sums_of_the_whole():
    whole = all_losses(PREDICTIONS, GT_CLASSES, VALID)
    halves = [
        all_losses(tuple(x[part] for x in PREDICTIONS), GT_CLASSES[part], VALID[part], GT_DELTAS[part], TARGETS[part])
        for part in (slice(0, 3), slice(3, SLOTS))
    ]
    chex.assert_trees_all_close(jax.tree.map(jnp.add, *halves), whole, rtol=1e-6)


def test_images_of_a_batch_add_up():
    def batched(x):
        return x.reshape(2, SLOTS // 2, *x.shape[1:])

    together = all_losses(
        tuple(map(batched, PREDICTIONS)), batched(GT_CLASSES), batched(VALID), batched(GT_DELTAS), batched(TARGETS)
    )
    chex.assert_trees_all_close(together, all_losses(PREDICTIONS, GT_CLASSES, VALID), rtol=1e-6)


def test_class_agnostic_heads_serve_all_classes():
    shared_deltas, shared_masks = CLASS_DELTAS[:, :1], MASK_LOGITS[..., :1]
    everywhere = np.repeat(shared_deltas, CLASSES, axis=1), np.repeat(shared_masks, CLASSES, axis=-1)
    chex.assert_trees_all_close(
        instances.head_boxes(shared_deltas, GT_DELTAS, GT_CLASSES, VALID),
        instances.head_boxes(everywhere[0], GT_DELTAS, GT_CLASSES, VALID),
    )
    chex.assert_trees_all_close(
        instances.masks(shared_masks, TARGETS, GT_CLASSES, VALID),
        instances.masks(everywhere[1], TARGETS, GT_CLASSES, VALID),
    )


def test_only_the_own_class_learns():
    class_deltas, mask_logits = gradients(PREDICTIONS, GT_CLASSES, VALID)[3:]
    own = np.arange(CLASSES) == GT_CLASSES[:, None]
    counted = (own & VALID[:, None])[:, 1:]
    np.testing.assert_array_equal(np.asarray(class_deltas).any(axis=-1)[:, 1:], counted)
    np.testing.assert_array_equal(np.asarray(mask_logits).any(axis=(1, 2))[:, 1:], counted)
    assert not class_deltas[:, 0].any()
    assert not mask_logits[..., 0].any()

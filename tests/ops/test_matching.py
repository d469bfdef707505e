"""Matching: thresholds, ties, objects that must not match, torchvision's Matcher."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from torchvision_oracle import load_torchvision

from jaxseg.ops.matching import Match, match

rpn_match = jax.jit(partial(match, object_iou=0.7, background_iou=0.3, low_quality=True))
head_match = jax.jit(partial(match, object_iou=0.5, background_iou=0.5, low_quality=False))

ANCHORS = np.array(
    [[0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 5], [0, 0, 10, 2], [50, 50, 60, 60], [52, 50, 62, 60], [48, 50, 58, 60]],
    np.float32,
)


def test_thresholds():
    matches = rpn_match(ANCHORS, ANCHORS[:1], np.array([True]))
    background, obj, ignored = Match.BACKGROUND, Match.OBJECT, Match.IGNORED
    assert matches.labels.tolist() == [obj, obj, ignored, background, background, background, background]


def test_low_quality_matches_include_ties():
    gt_boxes = np.array([[0, 0, 10, 10], [50, 40, 60, 52]], np.float32)  # the second: .1 with one anchor, less with two
    matches = rpn_match(ANCHORS[:4], gt_boxes, np.array([True, True]))
    assert matches.labels[0] == Match.OBJECT
    tied = rpn_match(ANCHORS[5:], np.array([[50, 50, 60, 60]], np.float32), np.array([True]))
    assert tied.labels.tolist() == [Match.OBJECT] * 2  # 2/3 each, below the threshold
    without = jax.jit(partial(match, object_iou=0.7, background_iou=0.3, low_quality=False))
    assert without(ANCHORS[5:], np.array([[50, 50, 60, 60]], np.float32), np.array([True])).labels.tolist() == [2, 2]


def test_a_low_quality_match_learns_its_own_best_object():
    # The box is the best of object 1 (.2), but overlaps object 0 (.4) more: torchvision lets it learn object 0.
    box = np.array([[0, 0, 10, 10]], np.float32)
    gt_boxes = np.array([[0, 0, 10, 4], [0, 8, 10, 10]], np.float32)
    matches = rpn_match(box, gt_boxes, np.array([True, True]))
    assert matches.labels.tolist() == [Match.OBJECT]
    assert matches.objects.tolist() == [0]


@pytest.mark.parametrize("matcher", [rpn_match, head_match])
def test_padding_and_crowd_match_nothing(matcher):
    gt_boxes = np.array([[50, 50, 60, 60], [0, 0, 10, 10], [0, 0, 0, 0]], np.float32)
    matches = matcher(ANCHORS, gt_boxes, np.array([True, False, False]))
    assert matches.labels[:4].tolist() == [Match.BACKGROUND] * 4
    assert matches.objects.tolist() == [0] * 7
    assert matches.labels[4] == Match.OBJECT


@pytest.mark.parametrize("matcher", [rpn_match, head_match])
def test_no_object_means_background(matcher):
    matches = matcher(ANCHORS, np.zeros((3, 4), np.float32), np.zeros(3, bool))
    assert matches.labels.tolist() == [Match.BACKGROUND] * 7


def test_an_object_that_overlaps_nothing_takes_nothing():
    gt_boxes = np.array([[0, 0, 10, 10], [90, 90, 99, 99], [5, 5, 5, 5]], np.float32)
    matches = rpn_match(ANCHORS, gt_boxes, np.ones(3, bool))
    assert matches.labels[4:].tolist() == [Match.BACKGROUND] * 3


@pytest.mark.parametrize(("matcher", "thresholds"), [(rpn_match, (0.7, 0.3, True)), (head_match, (0.5, 0.5, False))])
def test_agrees_with_torchvision(matcher, thresholds):
    torchvision = load_torchvision()
    torch = torchvision.torch
    random = np.random.default_rng(0)
    corners = random.integers(0, 24, (400, 2))  # whole numbers: many ties
    boxes = np.concatenate([corners, corners + random.integers(4, 16, (400, 2))], axis=1).astype(np.float32)
    gt_boxes = np.concatenate([boxes[:5] + 1, np.zeros((3, 4), np.float32)])
    expected = torchvision.models.detection._utils.Matcher(*thresholds)(
        torchvision.ops.box_iou(torch.from_numpy(gt_boxes[:5]), torch.from_numpy(boxes))
    ).numpy()
    matches = matcher(boxes, gt_boxes, np.arange(8) < 5)
    is_object = np.asarray(matches.labels) == Match.OBJECT
    np.testing.assert_array_equal(is_object, expected >= 0)
    np.testing.assert_array_equal(np.asarray(matches.labels) == Match.BACKGROUND, expected == -1)
    np.testing.assert_array_equal(np.asarray(matches.objects)[is_object], expected[is_object])
    assert 5 <= is_object.sum() < 200


def test_vmaps_over_images():
    gt_boxes = jnp.stack([ANCHORS[:2], ANCHORS[4:6]])
    matches = jax.vmap(rpn_match, in_axes=(None, 0, 0))(ANCHORS, gt_boxes, jnp.array([[True, False], [False, True]]))
    assert matches.labels.shape == (2, 7)
    assert matches.labels[0, 0] == matches.labels[1, 5] == Match.OBJECT

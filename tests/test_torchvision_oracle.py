"""The oracle itself: what it repairs agrees with what torchvision left in Python, and with rules known by hand."""

import sys

import numpy as np
import pytest
from torchvision_oracle import greedy_nms, load_torchvision


def test_greedy_nms_by_hand():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [0, 0, 10, 5]], np.float32)
    scores = np.array([0.5, 0.9, 0.9, 0.1], np.float32)
    np.testing.assert_array_equal(greedy_nms(boxes, scores, 0.5), [1, 2])  # 5/9 is suppressed by box 1
    np.testing.assert_array_equal(greedy_nms(boxes, scores, 0.6), [1, 2, 3])


def test_torchvision_nms_runs():
    torchvision = load_torchvision()
    torch = torchvision.torch
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]])
    assert torchvision.ops.nms(boxes, torch.tensor([0.5, 0.9, 0.9]), 0.5).tolist() == [1, 2]


def test_samples_beyond_the_border_count_zero():
    torchvision = load_torchvision()
    torch = torchvision.torch
    ones = torch.ones(1, 1, 10, 10)
    outside = torch.tensor([[0.0, 20, 20, 30, 30]])
    for ratio in (2, -1):
        assert torchvision.ops.roi_align(ones, outside, 3, sampling_ratio=ratio).abs().max() == 0


@pytest.mark.parametrize("aligned", [False, True])
def test_adaptive_sampling_is_torchvisions(aligned):
    torchvision = load_torchvision()
    torch = torchvision.torch
    python_roi_align = getattr(sys.modules["torchvision.ops.roi_align"], "python_roi_align", None)
    if python_roi_align is None:
        pytest.skip("torchvision's compiled operators are here: nothing was repaired")
    features = torch.randn(2, 3, 12, 14, generator=torch.Generator().manual_seed(0))
    rois = torch.tensor([[0.0, 1.2, 2.3, 11.7, 9.1], [1, -3, -2, 8, 20], [1, 4, 4, 4.2, 4.9], [0, 9, 3, 20, 5]])
    got = torchvision.ops.roi_align(features, rois, (3, 4), 0.9, -1, aligned)
    torch.testing.assert_close(got, python_roi_align(features, rois, 0.9, 3, 4, -1, aligned), rtol=0, atol=1e-5)

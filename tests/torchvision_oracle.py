"""torchvision as an oracle on any CPU, for the tests that compare with it live.

The CUDA wheels of torchvision cannot load their compiled operators where CUDA's libraries are absent, and even the
import fails then. ``load_torchvision`` defines what the detection models need: ``nms`` in numpy, and ``roi_align``
through torchvision's own Python implementation, corrected where that differs from the compiled operator.

Call it inside a test, never at the top of a module, so that only this test skips where torch is absent::

    def test_nms_keeps_what_torchvision_keeps():
        torchvision = load_torchvision()
        torch = torchvision.torch
"""

import functools
import importlib
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

_libraries = []  # a torch.library.Library takes its operators back when it is collected


@functools.cache
def load_torchvision():
    """The torchvision module, with working ``nms`` and ``roi_align`` on the CPU; skips the test without torch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch", reason="the live comparison needs torch")
        if "torchvision" not in sys.modules:
            _define_missing_operators(torch)
        torchvision = pytest.importorskip("torchvision", reason="the live comparison needs torchvision")
        importlib.import_module("torchvision.models.detection")
    if not torchvision.extension._has_ops():
        _repair_python_operators(torch)
    return torchvision


def greedy_nms(boxes, scores, threshold):
    """Indices that greedy suppression keeps, best first: the arithmetic and the order of torchvision's CPU operator.

    Equal scores go by index. The overlap is rounded to float32 and compared with the threshold in float64.
    """
    boxes, scores = np.asarray(boxes, np.float32), np.asarray(scores, np.float32)
    x1, y1, x2, y2 = boxes.reshape(-1, 4).T
    areas = (x2 - x1) * (y2 - y1)
    waiting = np.argsort(-scores, kind="stable")
    kept = []
    while waiting.size:
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        width = np.maximum(np.minimum(x2[best], x2[waiting]) - np.maximum(x1[best], x1[waiting]), np.float32(0))
        height = np.maximum(np.minimum(y2[best], y2[waiting]) - np.maximum(y1[best], y1[waiting]), np.float32(0))
        intersection = width * height
        with np.errstate(invalid="ignore", divide="ignore"):
            overlap = intersection / (areas[best] + areas[waiting] - intersection)
        waiting = waiting[~(overlap.astype(np.float64) > threshold)]
    return np.asarray(kept, np.int64)


def _define_missing_operators(torch):
    """Declare the operators that torchvision's import asks for, unless its compiled library brings them."""
    if _compiled_library_loads(torch):
        return
    definitions = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        definitions.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

    def nms(dets, scores, iou_threshold):
        return torch.from_numpy(greedy_nms(dets.detach().numpy(), scores.detach().numpy(), iou_threshold))

    definitions.impl("nms", nms, "CPU")
    _libraries.append(definitions)


def _compiled_library_loads(torch):
    package = find_spec("torchvision")
    if package is None:
        return False
    for library in Path(package.origin).parent.glob("_C*.so"):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            return False
        return True
    return False


def _repair_python_operators(torch):
    """Let torchvision call its Python ``roi_align`` uncompiled, with the compiled operator's rule at the border."""
    sys.modules["torchvision.ops.boxes"]._assert_has_ops = lambda: None
    module = sys.modules["torchvision.ops.roi_align"]
    interpolate, roi_align = module._bilinear_interpolate, module._roi_align.__wrapped__

    def interpolate_inside(features, image_index, y, x, y_mask, x_mask):
        height, width = features.shape[-2:]
        inside_y = (y >= -1) & (y <= height)
        inside_x = (x >= -1) & (x <= width)
        inside = inside_y[:, None, :, None, :, None] & inside_x[:, None, None, :, None, :]
        return interpolate(features, image_index, y, x, y_mask, x_mask) * inside

    def roi_align_adaptive(features, roi, scale, bins_y, bins_x, aligned):
        """One box, with as many samples as it needs; torchvision's Python takes one for each position of the map."""
        start = roi[:, 1:3] * scale - 0.5 * aligned
        size = roi[:, 3:5] * scale - 0.5 * aligned - start
        bins = torch.tensor([[bins_x, bins_y]], dtype=roi.dtype)
        bin_size = (size if aligned else size.clamp(min=1.0)) / bins
        samples = bin_size.ceil().clamp(min=0).int()[0].tolist()

        def positions(axis, count):
            bin_starts = start[:, axis, None, None] + torch.arange(count)[None, :, None] * bin_size[:, axis, None, None]
            steps = (torch.arange(samples[axis])[None, None] + 0.5) * (bin_size[:, axis, None, None] / samples[axis])
            return bin_starts + steps

        if min(samples) == 0:
            return features.new_zeros((1, features.shape[1], bins_y, bins_x))
        values = module._bilinear_interpolate(
            features, roi[:, 0].int(), positions(1, bins_y), positions(0, bins_x), None, None
        )
        return values.mean((-1, -2))

    def roi_align_any(features, rois, scale, bins_y, bins_x, sampling_ratio, aligned):
        if sampling_ratio > 0:
            return roi_align(features, rois, scale, bins_y, bins_x, sampling_ratio, aligned)
        pooled = [roi_align_adaptive(features, roi[None], scale, bins_y, bins_x, aligned) for roi in rois]
        return torch.cat(pooled) if pooled else features.new_zeros((0, features.shape[1], bins_y, bins_x))

    module._bilinear_interpolate = interpolate_inside
    module._roi_align = roi_align_any
    module.python_roi_align = roi_align  # the original, to hold the adaptive form to

"""torchvision's RoIAlign on the same maps and boxes as jaxseg's."""

import numpy as np
import torch

from jaxseg.benchmarks.against_torch import choose_device, memory_held, memory_needed, repeat
from jaxseg.benchmarks.timing import Contender
from jaxseg.benchmarks.torch_import import import_torchvision
from jaxseg.models.mask_rcnn.fpn import STRIDES
from jaxseg.models.mask_rcnn.roi_heads import BOX_BINS


def torch_region_contender(
    features: list[np.ndarray], boxes: np.ndarray, levels: np.ndarray, precision: str, platform: str
) -> Contender:
    """Measures ``torchvision.ops.roi_align`` level by level, forward and backward; the level of each box is known.

    Args:
      features: ``[b, h, w, c]`` a level.
      boxes: ``[b, p, 4]``.
      levels: ``[b, p]``, indices into features.
      precision: "bfloat16" stands for AMP, which has this operator compute in float32.
      platform: JAX's name of the kind of device.
    """
    device = choose_device(platform)
    held = memory_held(device)
    maps = [as_map(array, device) for array in features]
    regions = [rows_on(level, boxes, levels, device) for level in range(len(maps))]
    gradients = [torch.ones((len(own), maps[0].shape[1], BOX_BINS, BOX_BINS), device=device) for own in regions]

    def there_and_back() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            results = pooled(maps, regions)
        torch.autograd.grad(results, maps, gradients)

    run = repeat(there_and_back, device)
    run(1)
    peak = memory_needed(held, device)
    return Contender("torch", "roi_align", run, len(boxes), peak_bytes=lambda: peak)


def pooled(maps: list[torch.Tensor], regions: list[torch.Tensor]) -> list[torch.Tensor]:
    """Pools ``[n, c, 7, 7]`` per level, of maps ``[b, c, h, w]`` and rows ``[n, 5]``: an image's number and a box."""
    roi_align = import_torchvision().ops.roi_align
    strides = STRIDES[: len(maps)]
    return [
        roi_align(own_map, own_regions, BOX_BINS, 1 / stride, sampling_ratio=2)
        for own_map, own_regions, stride in zip(maps, regions, strides, strict=True)
    ]


def as_map(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """Turns ``[b, h, w, c]`` into ``[b, c, h, w]`` that requires gradients."""
    return torch.from_numpy(array).permute(0, 3, 1, 2).contiguous().to(device).requires_grad_()


def rows_on(level: int, boxes: np.ndarray, levels: np.ndarray, device: torch.device) -> torch.Tensor:
    """Returns the boxes of a level with the numbers of their images in front, ``[n, 5]``."""
    images, places = np.nonzero(levels == level)
    rows = np.concatenate([images[:, None].astype(np.float32), boxes[images, places]], axis=1)
    return torch.from_numpy(rows).to(device)

"""A U-Net in plain PyTorch, of the same shape as jaxseg's."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional


class TorchUNet(nn.Module):
    """The U-Net in PyTorch: images ``[b, 3, h, w]`` to logits ``[b, k, h', w']``.

    Args:
      model: jaxseg's ``UNet``, from which the fields are read.
    """

    def __init__(self, model: Any):
        super().__init__()
        widths = [model.features << level for level in range(model.depth + 1)]
        self.multiple = 1 if model.padding == "valid" or model.fit == "crop" else 1 << model.depth
        self.encoder = nn.ModuleList(
            _double_conv(inputs, outputs, model) for inputs, outputs in zip([3, *widths[:-2]], widths[:-1], strict=True)
        )
        self.bottleneck = _double_conv(widths[-2] if model.depth else 3, widths[-1], model)
        self.dropout = nn.Dropout(model.dropout)
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, 2, stride=2) for width in reversed(widths[:-1]))
        self.decoder = nn.ModuleList(_double_conv(2 * width, width, model) for width in reversed(widths[:-1]))
        self.head = nn.Conv2d(model.features, model.classes, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Returns the logits of each pixel's class."""
        height, width = image.shape[2:]
        x = functional.pad(image, (0, -width % self.multiple, 0, -height % self.multiple))
        skips = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = self.dropout(self.bottleneck(x))
        for up, block in zip(self.up, self.decoder, strict=True):
            x = up(x)
            x = block(torch.cat([_center(skips.pop(), x), x], dim=1))
        return self.head(x)[:, :, :height, :width]


def _double_conv(inputs: int, outputs: int, model: Any) -> nn.Sequential:
    padding = 1 if model.padding == "same" else 0
    layers = []
    for channels in (inputs, outputs):
        layers.append(nn.Conv2d(channels, outputs, 3, padding=padding, bias=model.norm == "none"))
        if model.norm == "batch":
            layers.append(nn.BatchNorm2d(outputs, eps=model.norm_epsilon, momentum=1 - model.norm_momentum))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def _center(skip: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Returns the part of a skip that lies over x."""
    height, width = x.shape[2:]
    top, left = (skip.shape[2] - height) // 2, (skip.shape[3] - width) // 2
    return skip[:, :, top : top + height, left : left + width]

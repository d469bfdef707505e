"""FCN-32s, FCN-16s and FCN-8s on VGG16 in plain PyTorch, of the same shape as jaxseg's."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from jaxseg.models.backbones.vgg import GROWTH, STAGES
from jaxseg.models.fcn_vgg import SKIPS


class TorchFCNVGG(nn.Module):
    """The FCN on VGG16 in PyTorch: images ``[b, 3, h, w]`` to logits ``[b, k, h, w]``.

    Args:
      model: jaxseg's ``FCNVGG``, from which the fields are read.
    """

    def __init__(self, model: Any):
        super().__init__()
        widths = [model.width * growth for growth in GROWTH]
        self.stages = nn.ModuleList(
            _stage(inputs, outputs, count, model.batch_norm)
            for inputs, outputs, count in zip([3, *widths[:-1]], widths, STAGES, strict=True)
        )
        self.fc6 = nn.Conv2d(widths[-1], model.hidden, 7, padding=3)
        self.fc7 = nn.Conv2d(model.hidden, model.hidden, 1)
        self.dropout = nn.Dropout(model.dropout)
        self.skips = [int(name.removeprefix("pool")) - 1 for name in SKIPS[model.stride]]
        scored = [model.hidden, *(widths[skip] for skip in self.skips)]
        self.scores = nn.ModuleList(nn.Conv2d(channels, model.classes, 1) for channels in scored)
        factors = [2] * len(self.skips) + [model.stride]
        self.ups = nn.ModuleList(_up(model.classes, factor) for factor in factors)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Returns the logits of each pixel's class."""
        height, width = image.shape[2:]
        x = functional.pad(image, (0, -width % 32, 0, -height % 32))
        pools = []
        for stage in self.stages:
            x = stage(x)
            pools.append(x)
        x = self.dropout(functional.relu(self.fc6(x)))
        x = self.dropout(functional.relu(self.fc7(x)))
        x = self.scores[0](x)
        for skip, score, up in zip(self.skips, self.scores[1:], self.ups, strict=False):
            x = up(x) + score(pools[skip])
        return self.ups[-1](x)[:, :, :height, :width]


def _stage(inputs: int, outputs: int, count: int, batch_norm: bool) -> nn.Sequential:
    layers = []
    for number in range(count):
        layers.append(nn.Conv2d(outputs if number else inputs, outputs, 3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers, nn.MaxPool2d(2, 2))


def _up(classes: int, factor: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(classes, classes, 2 * factor, stride=factor, padding=factor // 2, bias=False)

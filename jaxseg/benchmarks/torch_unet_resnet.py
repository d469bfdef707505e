"""A U-Net on torchvision's ResNet, of the same shape as jaxseg's."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from jaxseg.benchmarks.torch_import import import_torchvision


class TorchUNetResNet(nn.Module):
    """The U-Net on a ResNet in PyTorch: images ``[b, 3, h, w]`` to logits ``[b, k, h, w]``.

    Args:
      model: jaxseg's ``UNetResNet``, from which the fields are read.

    Raises:
      ValueError: torchvision has no such ResNet.
    """

    def __init__(self, model: Any):
        super().__init__()
        if model.width != 64:
            raise ValueError(f"model.width is {model.width}; expected 64, torchvision's. Leave out --against torch.")
        torchvision = import_torchvision()
        frozen = {"norm_layer": torchvision.ops.FrozenBatchNorm2d} if model.norm == "frozen" else {}
        self.encoder = torchvision.models.get_model(f"resnet{model.depth}", weights=None, **frozen)
        stages = [self.encoder.inplanes >> level for level in range(4)]
        self.encoder.fc = self.encoder.avgpool = None
        skips = [*stages[1:], model.width, 0]  # layer3, layer2, layer1, the stem, and none for the image
        widths = [model.width * 4 >> level for level in range(5)]
        inputs = [stages[0], *widths[:-1]]
        self.ups = nn.ModuleList(nn.ConvTranspose2d(*pair, 2, stride=2) for pair in zip(inputs, widths, strict=True))
        self.blocks = nn.ModuleList(
            nn.Sequential(*_block(skip + width, width), *_block(width, width))
            for skip, width in zip(skips, widths, strict=True)
        )
        self.head = nn.Conv2d(widths[-1], model.classes, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Returns the logits of each pixel's class."""
        height, width = image.shape[2:]
        x = functional.pad(image, (0, -width % 32, 0, -height % 32))
        encoder = self.encoder
        skips = [encoder.relu(encoder.bn1(encoder.conv1(x)))]
        x = encoder.maxpool(skips[0])
        for layer in (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4):
            x = layer(x)
            skips.append(x)
        skips.pop()
        for up, block in zip(self.ups, self.blocks, strict=True):
            x = up(x)
            x = block(torch.cat([skips.pop(), x], dim=1) if skips else x)
        return self.head(x)[:, :, :height, :width]


def _block(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)

"""FCN-8s the plain PyTorch way, for comparisons: its layers and names are VGG16's, its arithmetic PyTorch's own."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class TorchFCN8s(nn.Module):
    """FCN-8s on VGG16 with zeros at the bottom and the right up to a multiple of 32."""

    def __init__(self, classes, width, hidden):
        super().__init__()
        layers, channels = [], 3
        for convolutions, growth in ((2, 1), (2, 2), (3, 4), (3, 8), (3, 8)):
            for _ in range(convolutions):
                layers += [nn.Conv2d(channels, width * growth, 3, padding=1), nn.ReLU()]
                channels = width * growth
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.fc6 = nn.Conv2d(channels, hidden, 7, padding=3)
        self.fc7 = nn.Conv2d(hidden, hidden, 1)
        self.score_fc7 = nn.Conv2d(hidden, classes, 1)
        self.score_pool4 = nn.Conv2d(width * 8, classes, 1)
        self.score_pool3 = nn.Conv2d(width * 4, classes, 1)
        self.up_fc7_x2 = nn.ConvTranspose2d(classes, classes, 4, stride=2, padding=1, bias=False)
        self.up_pool4_x2 = nn.ConvTranspose2d(classes, classes, 4, stride=2, padding=1, bias=False)
        self.up_pool3_x8 = nn.ConvTranspose2d(classes, classes, 16, stride=8, padding=4, bias=False)

    def forward(self, x):
        height, width = x.shape[2:]
        x = F.pad(x, (0, -width % 32, 0, -height % 32))
        pools = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                pools.append(x)
        x = F.relu(self.fc7(F.relu(self.fc6(x))))
        x = self.up_fc7_x2(self.score_fc7(x)) + self.score_pool4(pools[3])
        x = self.up_pool4_x2(x) + self.score_pool3(pools[2])
        return self.up_pool3_x8(x)[:, :, :height, :width]


def copied(variables, classes, width, hidden):
    """The network with the numbers of our variables, in evaluation mode."""
    network = TorchFCN8s(classes, width, hidden)
    params = dict(variables["params"])
    ours = {
        f"conv{i}_{j}": params["backbone"][f"conv{i}_{j}"] for i in range(1, 6) for j in range(1, 4 if i > 2 else 3)
    }
    theirs = [layer for layer in network.features if isinstance(layer, nn.Conv2d)]
    pairs = [*zip(ours.values(), theirs, strict=True)]
    pairs += [(params[name], layer) for name, layer in network.named_children() if name != "features"]
    with torch.no_grad():
        for numbers, layer in pairs:
            order = (2, 3, 0, 1) if isinstance(layer, nn.ConvTranspose2d) else (3, 2, 0, 1)
            layer.weight.copy_(torch.from_numpy(np.transpose(numbers["kernel"], order).copy()))
            if layer.bias is not None:
                layer.bias.copy_(torch.from_numpy(numbers["bias"]))
    return network.eval()

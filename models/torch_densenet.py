"""DenseNet121 (Huang et al., 2017) in plain torch."""

from __future__ import annotations

import torch
from torch import nn

from models.torch_layers import conv_bn

_BLOCKS = (6, 12, 24, 16)
_GROWTH, _FIRST = 32, 64


class DenseLayer(nn.Module):
    """Normalisation and Relu in front of both convolutions; what it adds stands behind what it reads."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.body = nn.Sequential(
            nn.ReLU(),
            conv_bn(inputs, 4 * _GROWTH, 1, activation=nn.ReLU()),
            nn.Conv2d(4 * _GROWTH, _GROWTH, 3, padding=1, bias=False),
        )

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        """All earlier features, each [N, C, H, W], to [N, 32, H, W]."""
        added: torch.Tensor = self.body(self.norm(torch.cat(features, 1)))
        return added


class DenseBlock(nn.Module):
    """Layers that each read all that came before."""

    def __init__(self, inputs: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DenseLayer(inputs + _GROWTH * index) for index in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W] -> [N, C + 32 depth, H, W]."""
        features = [x]
        for layer in self.layers:
            features.append(layer(features))
        return torch.cat(features, 1)


class DenseNet121(nn.Module):
    """[N, 3, 224, 224] -> [N, classes]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_bn(3, _FIRST, 7, 2, 3, nn.ReLU()), nn.MaxPool2d(3, 2, 1)]
        channels = _FIRST
        for index, depth in enumerate(_BLOCKS):
            layers.append(DenseBlock(channels, depth))
            channels += _GROWTH * depth
            layers += [nn.BatchNorm2d(channels), nn.ReLU()]
            if index + 1 < len(_BLOCKS):
                layers += [nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
                channels //= 2
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores."""
        logits: torch.Tensor = self.layers(x)
        return logits

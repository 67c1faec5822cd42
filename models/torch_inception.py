"""InceptionV3 (Szegedy et al., 2015) in plain torch, without the auxiliary classifier."""

from __future__ import annotations

import torch
from torch import nn

from models.torch_layers import Pair, conv_bn


class Branches(nn.Module):
    """Several branches of one input, their channels side by side."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W] -> the branches' outputs, concatenated over channels."""
        return torch.cat([branch(x) for branch in self.branches], 1)


class InceptionV3(nn.Module):
    """[N, 3, 299, 299] -> [N, classes]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(_conv(3, 32, 3, 2), _conv(32, 32, 3), _conv(32, 64, 3, padding=1), nn.MaxPool2d(3, 2)),
            *(_conv(64, 80, 1), _conv(80, 192, 3), nn.MaxPool2d(3, 2)),
            *(_block_35(192, 32), _block_35(256, 64), _block_35(288, 64), _reduction_35(288)),
            *(_block_17(768, 128), _block_17(768, 160), _block_17(768, 160), _block_17(768, 192), _reduction_17(768)),
            *(_block_8(1280), _block_8(2048)),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(2048, classes)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores."""
        logits: torch.Tensor = self.layers(x)
        return logits


def _conv(inputs: int, outputs: int, kernel: int | Pair, stride: int = 1, padding: int | Pair = 0) -> nn.Module:
    return conv_bn(inputs, outputs, kernel, stride, padding, nn.ReLU(), epsilon=1e-3)


def _row(inputs: int, outputs: int, width: int) -> nn.Module:
    return _conv(inputs, outputs, (1, width), padding=(0, width // 2))


def _column(inputs: int, outputs: int, height: int) -> nn.Module:
    return _conv(inputs, outputs, (height, 1), padding=(height // 2, 0))


def _pooled(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(3, 1, 1), _conv(inputs, outputs, 1))


def _block_35(inputs: int, pooled: int) -> nn.Module:
    """35x35: 1x1, 5x5, two 3x3, pool."""
    return Branches(
        _conv(inputs, 64, 1),
        nn.Sequential(_conv(inputs, 48, 1), _conv(48, 64, 5, padding=2)),
        nn.Sequential(_conv(inputs, 64, 1), _conv(64, 96, 3, padding=1), _conv(96, 96, 3, padding=1)),
        _pooled(inputs, pooled),
    )


def _reduction_35(inputs: int) -> nn.Module:
    """35x35 to 17x17."""
    return Branches(
        _conv(inputs, 384, 3, 2),
        nn.Sequential(_conv(inputs, 64, 1), _conv(64, 96, 3, padding=1), _conv(96, 96, 3, 2)),
        nn.MaxPool2d(3, 2),
    )


def _block_17(inputs: int, width: int) -> nn.Module:
    """17x17: 1x1, 7x7 once and twice as rows and columns, pool."""
    return Branches(
        _conv(inputs, 192, 1),
        nn.Sequential(_conv(inputs, width, 1), _row(width, width, 7), _column(width, 192, 7)),
        nn.Sequential(
            _conv(inputs, width, 1),
            *(_column(width, width, 7), _row(width, width, 7)),
            *(_column(width, width, 7), _row(width, 192, 7)),
        ),
        _pooled(inputs, 192),
    )


def _reduction_17(inputs: int) -> nn.Module:
    """17x17 to 8x8."""
    return Branches(
        nn.Sequential(_conv(inputs, 192, 1), _conv(192, 320, 3, 2)),
        nn.Sequential(_conv(inputs, 192, 1), _row(192, 192, 7), _column(192, 192, 7), _conv(192, 192, 3, 2)),
        nn.MaxPool2d(3, 2),
    )


def _block_8(inputs: int) -> nn.Module:
    """8x8: 1x1, 3x3 once and twice, each ending in a fork of a row and a column, pool."""
    return Branches(
        _conv(inputs, 320, 1),
        nn.Sequential(_conv(inputs, 384, 1), _fork()),
        nn.Sequential(_conv(inputs, 448, 1), _conv(448, 384, 3, padding=1), _fork()),
        _pooled(inputs, 192),
    )


def _fork() -> nn.Module:
    return Branches(_row(384, 384, 3), _column(384, 384, 3))

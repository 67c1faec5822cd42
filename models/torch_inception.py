"""InceptionV3 (Szegedy et al., 2015) in plain torch, without the auxiliary classifier."""

from __future__ import annotations

import torch
from torch import nn


def conv(inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, padding: int | tuple[int, int] = 0):  # type: ignore[no-untyped-def]
    """Conv without bias, BatchNormalization, Relu."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False), nn.BatchNorm2d(outputs, eps=1e-3), nn.ReLU()
    )


def average() -> nn.Module:
    """The 3x3 average pool of the pool branches."""
    return nn.AvgPool2d(3, 1, 1)


class Branches(nn.Module):
    """Several branches of one input, their channels side by side."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Concatenated over channels."""
        return torch.cat([branch(x) for branch in self.branches], 1)


def block_a(inputs: int, pool: int) -> nn.Module:
    """35x35: 1x1, 5x5, two 3x3, pool."""
    return Branches(
        conv(inputs, 64, 1),
        nn.Sequential(conv(inputs, 48, 1), conv(48, 64, 5, 1, 2)),
        nn.Sequential(conv(inputs, 64, 1), conv(64, 96, 3, 1, 1), conv(96, 96, 3, 1, 1)),
        nn.Sequential(average(), conv(inputs, pool, 1)),
    )


def block_b(inputs: int) -> nn.Module:
    """35x35 to 17x17."""
    return Branches(
        conv(inputs, 384, 3, 2),
        nn.Sequential(conv(inputs, 64, 1), conv(64, 96, 3, 1, 1), conv(96, 96, 3, 2)),
        nn.MaxPool2d(3, 2),
    )


def block_c(inputs: int, width: int) -> nn.Module:
    """17x17: factorised 7x7."""
    row, column = ((1, 7), (0, 3)), ((7, 1), (3, 0))
    return Branches(
        conv(inputs, 192, 1),
        nn.Sequential(
            conv(inputs, width, 1), conv(width, width, row[0], 1, row[1]), conv(width, 192, column[0], 1, column[1])
        ),
        nn.Sequential(
            conv(inputs, width, 1),
            conv(width, width, column[0], 1, column[1]),
            conv(width, width, row[0], 1, row[1]),
            conv(width, width, column[0], 1, column[1]),
            conv(width, 192, row[0], 1, row[1]),
        ),
        nn.Sequential(average(), conv(inputs, 192, 1)),
    )


def block_d(inputs: int) -> nn.Module:
    """17x17 to 8x8."""
    return Branches(
        nn.Sequential(conv(inputs, 192, 1), conv(192, 320, 3, 2)),
        nn.Sequential(
            conv(inputs, 192, 1),
            conv(192, 192, (1, 7), 1, (0, 3)),
            conv(192, 192, (7, 1), 1, (3, 0)),
            conv(192, 192, 3, 2),
        ),
        nn.MaxPool2d(3, 2),
    )


def block_e(inputs: int) -> nn.Module:
    """8x8: the widest block, with branches that fork once more."""

    def fork() -> nn.Module:
        return Branches(conv(384, 384, (1, 3), 1, (0, 1)), conv(384, 384, (3, 1), 1, (1, 0)))

    return Branches(
        conv(inputs, 320, 1),
        nn.Sequential(conv(inputs, 384, 1), fork()),
        nn.Sequential(conv(inputs, 448, 1), conv(448, 384, 3, 1, 1), fork()),
        nn.Sequential(average(), conv(inputs, 192, 1)),
    )


class InceptionV3(nn.Module):
    """[N, 3, 299, 299] -> [N, classes]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(conv(3, 32, 3, 2), conv(32, 32, 3), conv(32, 64, 3, 1, 1), nn.MaxPool2d(3, 2)),
            *(conv(64, 80, 1), conv(80, 192, 3), nn.MaxPool2d(3, 2)),
            *(block_a(192, 32), block_a(256, 64), block_a(288, 64), block_b(288)),
            *(block_c(768, 128), block_c(768, 160), block_c(768, 160), block_c(768, 192), block_d(768)),
            *(block_e(1280), block_e(2048)),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(2048, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores."""
        return self.classifier(torch.flatten(self.pool(self.features(x)), 1))

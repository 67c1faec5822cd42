"""What the torch networks are made of: convolution, normalisation, activation."""

from __future__ import annotations

from torch import nn

Pair = tuple[int, int]


class LastOfResidual(nn.BatchNorm2d):
    """The last normalisation of a residual branch: it sets how much the branch adds to its input."""


def conv_bn(
    inputs: int,
    outputs: int,
    kernel: int | Pair,
    stride: int = 1,
    padding: int | Pair = 0,
    activation: nn.Module | None = None,
    *,
    groups: int = 1,
    epsilon: float = 1e-5,
    norm: type[nn.BatchNorm2d] = nn.BatchNorm2d,
) -> nn.Sequential:
    """Conv without bias, BatchNormalization, activation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    return nn.Sequential(conv, norm(outputs, eps=epsilon), *([activation] if activation else []))

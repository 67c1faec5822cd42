"""Networks that no library of the zoo has as classifiers, in plain torch; ``width`` and ``blocks`` make small ones.

A pre-activation ResNet (He et al. 2016), CBAM (Woo et al. 2018), a U-Net (Ronneberger et al. 2015) whose last map is
pooled, and for the tests small relatives of the families that the libraries have.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from models.torch_layers import LastOfResidual, conv_bn


class PreActivation(nn.Module):
    """x + three convolutions, each after BatchNormalization and Relu."""

    def __init__(self, inputs: int, width: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False),
            LastOfResidual(width),
            nn.ReLU(),
            nn.Conv2d(width, outputs, 1, bias=False),
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = None if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        activated = self.first(x)
        y: torch.Tensor = self.body(activated)
        return y + (x if self.shortcut is None else self.shortcut(activated))


class Cbam(nn.Module):
    """Two gates: one number a channel from global mean and maximum, one a pixel from mean and maximum of channels."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.mlp = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1))
        self.spatial = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, channels, H, W], the shape stays."""
        mean, largest = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        x = x * torch.sigmoid(self.mlp(mean) + self.mlp(largest))
        pixels = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.spatial(pixels))


class CbamBlock(nn.Module):
    """ResNet's basic block, with both gates at the end of the branch."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_bn(inputs, outputs, 3, stride, 1, nn.ReLU()),
            conv_bn(outputs, outputs, 3, padding=1, norm=LastOfResidual),
            Cbam(outputs),
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else conv_bn(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        return torch.relu(self.body(x) + self.shortcut(x))


class UNet(nn.Module):
    """Down and up again, maps of equal size concatenated; the last map is pooled and classified."""

    def __init__(self, widths: Sequence[int], classes: int, *, transposed: bool = True) -> None:
        super().__init__()

        def double(inputs: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(
                conv_bn(inputs, outputs, 3, padding=1, activation=nn.ReLU()),
                conv_bn(outputs, outputs, 3, padding=1, activation=nn.ReLU()),
            )

        self.down = nn.ModuleList(double(a, b) for a, b in zip((3, *widths), widths, strict=False))
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 2, 2)
            if transposed
            else nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(a, b, 1))
            for a, b in pairs
        )
        self.after = nn.ModuleList(double(2 * b, b) for _, b in pairs)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[0], classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 3, H, W] -> [N, classes]."""
        kept = []
        for index, block in enumerate(self.down):
            x = block(nn.functional.max_pool2d(x, 2) if index else x)
            kept.append(x)
        for up, after, beside in zip(self.up, self.after, kept[-2::-1], strict=True):
            x = after(torch.cat([up(x), beside], 1))
        logits: torch.Tensor = self.head(x)
        return logits


class DenseLayer(nn.Module):
    """The input beside what a bottleneck makes of it."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            nn.Conv2d(inputs, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth),
            nn.ReLU(),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W] -> [N, inputs + growth, H, W]."""
        return torch.cat([x, self.body(x)], 1)


class Shuffled(nn.Module):
    """Half of the channels through a depthwise branch, then the halves interleaved."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.body = nn.Sequential(
            conv_bn(half, half, 1, activation=nn.ReLU()),
            conv_bn(half, half, 3, padding=1, groups=half),
            conv_bn(half, half, 1, activation=nn.ReLU()),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, channels, H, W], the shape stays."""
        kept, changed = x.chunk(2, 1)
        x = torch.cat([kept, self.body(changed)], 1)
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class Gated(nn.Module):
    """Squeeze-and-excitation around an inverted residual with SiLU."""

    def __init__(self, channels: int, expansion: int = 4) -> None:
        super().__init__()
        width = channels * expansion
        self.expand = nn.Sequential(
            conv_bn(channels, width, 1, activation=nn.SiLU()),
            conv_bn(width, width, 5, padding=2, activation=nn.SiLU(), groups=width),
        )
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, channels, 1), nn.SiLU(), nn.Conv2d(channels, width, 1)
        )
        self.project = conv_bn(width, channels, 1, norm=LastOfResidual)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, channels, H, W], the shape stays."""
        y = self.expand(x)
        z: torch.Tensor = self.project(y * torch.sigmoid(self.gate(y)))
        return x + z


class ConvNext(nn.Module):
    """Depthwise 7x7, then LayerNorm, Linear, GELU, Linear on every pixel's channels, scaled and added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.mlp = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, channels, H, W], the shape stays."""
        y = self.gamma * self.mlp(self.depthwise(x).permute(0, 2, 3, 1))
        return x + y.permute(0, 3, 1, 2)


class LastOfSignalResidual(nn.BatchNorm1d):
    """The last normalisation of a signal's residual branch."""


def _signal_conv(inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv1d:
    return nn.Conv1d(inputs, outputs, kernel, stride, dilation * (kernel // 2), dilation, bias=False)


class SignalBlock(nn.Module):
    """Relu(two convolutions along a signal + shortcut)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _signal_conv(inputs, outputs, kernel, stride, dilation),
            nn.BatchNorm1d(outputs),
            nn.ReLU(),
            _signal_conv(outputs, outputs, kernel, 1, dilation),
            LastOfSignalResidual(outputs),
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = (
            nn.Identity() if same else nn.Sequential(_signal_conv(inputs, outputs, 1, stride), nn.BatchNorm1d(outputs))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, inputs, L] -> [N, outputs, L / stride]."""
        return torch.relu(self.body(x) + self.shortcut(x))


def _classifier(inputs: int, classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes)]


def _stem(width: int) -> list[nn.Module]:
    return [conv_bn(3, width, 7, 2, 3, nn.ReLU()), nn.MaxPool2d(3, 2, 1)]


def preactivation_resnet50(width: int = 64, blocks: Sequence[int] = (3, 4, 6, 3), classes: int = 1000) -> nn.Module:
    """ResNet50 v2."""
    layers, inputs = _stem(width), width
    for stage, depth in enumerate(blocks):
        inner = width * 2**stage
        for index in range(depth):
            layers.append(PreActivation(inputs, inner, 4 * inner, 2 if index == 0 and stage else 1))
            inputs = 4 * inner
    return nn.Sequential(*layers, nn.BatchNorm2d(inputs), nn.ReLU(), *_classifier(inputs, classes))


def cbam_resnet18(width: int = 64, blocks: Sequence[int] = (2, 2, 2, 2), classes: int = 1000) -> nn.Module:
    """ResNet18 with CBAM in every block."""
    layers, inputs = _stem(width), width
    for stage, depth in enumerate(blocks):
        outputs = width * 2**stage
        for index in range(depth):
            layers.append(CbamBlock(inputs, outputs, 2 if index == 0 and stage else 1))
            inputs = outputs
    return nn.Sequential(*layers, *_classifier(inputs, classes))


def unet_classifier(width: int = 32, depth: int = 5, classes: int = 1000) -> nn.Module:
    """A U-Net of ``depth`` sizes."""
    return UNet([width * 2**level for level in range(depth)], classes)


def signal_resnet34(width: int = 64, blocks: Sequence[int] = (3, 4, 6, 3), classes: int = 20) -> nn.Module:
    """ResNet34 along a signal of twelve leads, kernels of 7."""
    layers: list[nn.Module] = [_signal_conv(12, width, 15, 2), nn.BatchNorm1d(width), nn.ReLU(), nn.MaxPool1d(3, 2, 1)]
    inputs = width
    for stage, depth in enumerate(blocks):
        outputs = width * 2**stage
        for index in range(depth):
            layers.append(SignalBlock(inputs, outputs, 7, 2 if index == 0 and stage else 1))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(inputs, classes))


def signal_dilated(width: int = 64, blocks: int = 8, classes: int = 35) -> nn.Module:
    """Dilations of 1, 2, 4, ... on a sound, after two convolutions of large stride."""
    layers: list[nn.Module] = [nn.Conv1d(1, width, 80, 4, 38), nn.BatchNorm1d(width), nn.ReLU(), nn.MaxPool1d(4)]
    layers += [SignalBlock(width, width, 3, dilation=2**index) for index in range(blocks)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(width, classes))


def small_unet_bilinear() -> nn.Module:
    """A U-Net that upsamples bilinearly, small."""
    return UNet([8, 16, 32], 10, transposed=False)


def small_densenet() -> nn.Module:
    """Two dense blocks with a transition between them."""
    first = [DenseLayer(16 + 8 * index, 8) for index in range(3)]
    second = [DenseLayer(24 + 8 * index, 8) for index in range(3)]
    transition = [nn.BatchNorm2d(40), nn.ReLU(), nn.Conv2d(40, 24, 1, bias=False), nn.AvgPool2d(2)]
    return nn.Sequential(*_stem(16), *first, *transition, *second, nn.BatchNorm2d(48), nn.ReLU(), *_classifier(48, 10))


def small_shufflenet() -> nn.Module:
    """Three shuffled blocks."""
    return nn.Sequential(*_stem(24), *(Shuffled(24) for _ in range(3)), *_classifier(24, 10))


def small_gated() -> nn.Module:
    """Two squeeze-and-excitation blocks."""
    return nn.Sequential(*_stem(16), Gated(16), Gated(16), *_classifier(16, 10))


def small_convnext() -> nn.Module:
    """A patch stem and two blocks."""
    return nn.Sequential(nn.Conv2d(3, 16, 4, 4), ConvNext(16), ConvNext(16), *_classifier(16, 10))

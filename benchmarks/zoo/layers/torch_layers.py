"""Modules of torch.nn that a CNN can hold, as they stand between two convolutions: of pictures, signals and volumes.

Before each stands a map of ``CHANNELS`` channels. ``IDIOMS`` of torch_idioms.py are the functions that people write.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = 8
SHAPES = {1: (3, 48), 2: (3, 24, 24), 3: (2, 8, 12, 12)}
"""Of the image, by its number of axes."""

Middle = nn.Module | Callable[[Tensor], Tensor]

_ACTIVATIONS = (
    "CELU ELU GELU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid Mish PReLU ReLU ReLU6 RReLU SELU "
    "SiLU Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink"
).split()


def layers(axes: int) -> dict[str, Middle]:
    """The modules by how their rows are called; of signals and volumes the main ones."""
    return _pictures() if axes == 2 else _others(axes)


def _pictures() -> dict[str, Middle]:
    c = CHANNELS
    return {
        **{name: getattr(nn, name)() for name in _ACTIVATIONS},
        "CELU(2)": nn.CELU(2.0),
        "GELU(tanh)": nn.GELU("tanh"),
        "Hardtanh(-0.5, 2)": nn.Hardtanh(-0.5, 2.0),
        "PReLU(8)": nn.PReLU(c),
        "Softplus(beta=2, threshold=1)": nn.Softplus(2.0, 1.0),
        "Threshold(0.1, 0)": nn.Threshold(0.1, 0.0),
        "Threshold(0.1, 0.5)": nn.Threshold(0.1, 0.5),
        "GLU(1)": nn.GLU(1),
        "Softmin(1)": nn.Softmin(1),
        "Softmax2d": nn.Softmax2d(),
        "Softmax(-1), of rows": nn.Softmax(-1),
        "Softmax of all pixels": lambda x: x.flatten(2).softmax(-1).unflatten(2, x.shape[2:]) * 100,
        "LogSoftmax(1)": nn.LogSoftmax(1),
        "Identity": nn.Identity(),
        "Conv2d stride 2": nn.Conv2d(c, c, 3, 2, 1),
        "Conv2d dilated": nn.Conv2d(c, c, 3, padding=2, dilation=2),
        "Conv2d groups": nn.Conv2d(c, c, 3, groups=4),
        "Conv2d depthwise": nn.Conv2d(c, 2 * c, 3, groups=c),
        "Conv2d 1x1": nn.Conv2d(c, c, 1),
        "Conv2d same, even kernel": nn.Conv2d(c, c, 4, padding="same"),
        "Conv2d reflect": nn.Conv2d(c, c, 3, padding=1, padding_mode="reflect"),
        "Conv2d replicate": nn.Conv2d(c, c, 3, padding=1, padding_mode="replicate"),
        "Conv2d circular": nn.Conv2d(c, c, 3, padding=1, padding_mode="circular"),
        "Conv2d weight_norm": nn.utils.parametrizations.weight_norm(nn.Conv2d(c, c, 3)),
        "Conv2d spectral_norm": nn.utils.parametrizations.spectral_norm(nn.Conv2d(c, c, 3)),
        "ConvTranspose2d": nn.ConvTranspose2d(c, c, 3, 2, 1, 1),
        "ConvTranspose2d groups": nn.ConvTranspose2d(c, c, 4, 2, 1, groups=4),
        "ConvTranspose2d dilated": nn.ConvTranspose2d(c, c, 3, dilation=2),
        "Fold(Unfold)": nn.Sequential(nn.Unfold(3, padding=1), nn.Fold(24, 3, padding=1)),
        "MaxPool2d": nn.MaxPool2d(3, 2, 1),
        "MaxPool2d ceil": nn.MaxPool2d(3, 2, ceil_mode=True),
        "MaxPool2d dilated": nn.MaxPool2d(2, 1, dilation=2),
        "MaxUnpool2d": lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
        "AvgPool2d": nn.AvgPool2d(3, 2, 1),
        "AvgPool2d ceil": nn.AvgPool2d(3, 2, ceil_mode=True),
        "AvgPool2d ceil, padded": nn.AvgPool2d(3, 2, 1, ceil_mode=True),
        "AvgPool2d pads not counted": nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        "AvgPool2d ceil, pads not counted": nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        "AvgPool2d divisor": nn.AvgPool2d(3, 2, divisor_override=5),
        "FractionalMaxPool2d": nn.FractionalMaxPool2d(2, output_ratio=0.6, _random_samples=torch.full((1, c, 2), 0.3)),
        "LPPool2d(1)": nn.LPPool2d(1, 2),
        "LPPool2d(2)": nn.LPPool2d(2, 2),
        "LPPool2d(3) of Relu": nn.Sequential(nn.ReLU(), nn.LPPool2d(3, 3, 2)),
        "LPPool2d(2) ceil": nn.LPPool2d(2, 3, 2, ceil_mode=True),
        "AdaptiveAvgPool2d(8)": nn.AdaptiveAvgPool2d(8),
        "AdaptiveAvgPool2d(7, 10)": nn.AdaptiveAvgPool2d((7, 10)),
        "AdaptiveAvgPool2d(None, 1)": nn.AdaptiveAvgPool2d((None, 1)),
        "AdaptiveMaxPool2d(8)": nn.AdaptiveMaxPool2d(8),
        "AdaptiveMaxPool2d(7, 10)": nn.AdaptiveMaxPool2d((7, 10)),
        "ReflectionPad2d": nn.ReflectionPad2d(2),
        "ReplicationPad2d": nn.ReplicationPad2d((1, 2, 0, 1)),
        "CircularPad2d": nn.CircularPad2d(1),
        "ZeroPad2d": nn.ZeroPad2d((1, 0, 2, 1)),
        "ZeroPad2d negative": nn.ZeroPad2d((-1, -2, 0, -1)),
        "ConstantPad2d": nn.ConstantPad2d(1, 0.5),
        "BatchNorm2d": nn.BatchNorm2d(c),
        "BatchNorm2d no affine": nn.BatchNorm2d(c, affine=False),
        "BatchNorm2d of the batch": nn.BatchNorm2d(c, track_running_stats=False),
        "InstanceNorm2d": nn.InstanceNorm2d(c),
        "InstanceNorm2d affine": nn.InstanceNorm2d(c, affine=True),
        "InstanceNorm2d tracked": nn.InstanceNorm2d(c, track_running_stats=True),
        "GroupNorm(2)": nn.GroupNorm(2, c),
        "GroupNorm(8)": nn.GroupNorm(c, c),
        "LayerNorm([C, H, W])": nn.LayerNorm((c, 24, 24)),
        "LayerNorm of channels": lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (c,)).permute(0, 3, 1, 2),
        "RMSNorm of channels": lambda x: F.rms_norm(x.permute(0, 2, 3, 1), (c,)).permute(0, 3, 1, 2),
        "LocalResponseNorm(5)": nn.LocalResponseNorm(5),
        "LocalResponseNorm(4)": nn.LocalResponseNorm(4, 0.1, 0.5, 2.0),
        "CrossMapLRN2d": nn.LocalResponseNorm(3, 1e-4, 0.75, 2.0),
        "Dropout": nn.Dropout(),
        "Dropout2d": nn.Dropout2d(),
        "AlphaDropout": nn.AlphaDropout(),
        "FeatureAlphaDropout": nn.FeatureAlphaDropout(),
        "PixelShuffle(2)": nn.PixelShuffle(2),
        "PixelUnshuffle(2)": nn.PixelUnshuffle(2),
        "ChannelShuffle(2)": nn.ChannelShuffle(2),
        "Upsample nearest": nn.Upsample(scale_factor=2),
        "Upsample nearest 1.5": nn.Upsample(scale_factor=1.5),
        "Upsample nearest-exact": nn.Upsample(size=(31, 37), mode="nearest-exact"),
        "Upsample bilinear": nn.Upsample(scale_factor=2, mode="bilinear"),
        "Upsample bilinear, corners": nn.UpsamplingBilinear2d(scale_factor=2),
        "Upsample bilinear, smaller": nn.Upsample(size=(17, 13), mode="bilinear"),
        "Upsample bicubic": nn.Upsample(scale_factor=1.5, mode="bicubic"),
        "Upsample bicubic, corners": nn.Upsample(size=(37, 41), mode="bicubic", align_corners=True),
        "interpolate area": lambda x: F.interpolate(x, (8, 6), mode="area"),
        "interpolate antialias": lambda x: F.interpolate(x, (13, 11), mode="bilinear", antialias=True),
        "Linear of channels": nn.Sequential(_Permute(0, 2, 3, 1), nn.Linear(c, c), _Permute(0, 3, 1, 2)),
        "Linear of rows": nn.Linear(24, 24),
        "Bilinear of channels": _Bilinear(),
        "CosineSimilarity": lambda x: F.cosine_similarity(x, x.roll(1, 2), 1).unsqueeze(1),
        "MultiheadAttention of pixels": _Attention(),
        "LSTM of rows": _Rows(),
    }


def _others(axes: int) -> dict[str, Middle]:
    c, suffix = CHANNELS, f"{axes}d"
    full = tuple(range(2, 2 + axes))

    def module(name: str, *arguments: object, **options: object) -> nn.Module:
        made: nn.Module = getattr(nn, name + suffix)(*arguments, **options)
        return made

    last = (0, *full, 1), (0, axes + 1, *range(1, axes + 1))
    mode = {1: "linear", 3: "trilinear"}[axes]
    found: dict[str, Middle] = {
        **{name: getattr(nn, name)() for name in ("GELU", "Hardswish", "LeakyReLU", "Mish", "Softplus", "Softshrink")},
        "PReLU(8)": nn.PReLU(c),
        "GLU(1)": nn.GLU(1),
        "Softmax(1)": nn.Softmax(1),
        f"Conv{suffix} stride 2": module("Conv", c, c, 3, 2, 1),
        f"Conv{suffix} dilated, groups": module("Conv", c, c, 3, padding=2, dilation=2, groups=2),
        f"Conv{suffix} circular": module("Conv", c, c, 3, padding=1, padding_mode="circular"),
        f"Conv{suffix} reflect": module("Conv", c, c, 3, padding=1, padding_mode="reflect"),
        f"ConvTranspose{suffix}": module("ConvTranspose", c, c, 3, 2, 1, 1),
        f"MaxPool{suffix}": module("MaxPool", 3, 2, 1),
        f"MaxPool{suffix} ceil": module("MaxPool", 3, 2, ceil_mode=True),
        f"AvgPool{suffix}": module("AvgPool", 2),
        f"AvgPool{suffix} ceil": module("AvgPool", 3, 2, ceil_mode=True),
        f"LPPool{suffix}(2)": module("LPPool", 2, 2),
        f"AdaptiveAvgPool{suffix}(4)": module("AdaptiveAvgPool", 4),
        f"AdaptiveMaxPool{suffix}(4)": module("AdaptiveMaxPool", 4),
        f"ZeroPad{suffix}": module("ZeroPad", 1),
        f"ReflectionPad{suffix}": module("ReflectionPad", 1),
        f"ReplicationPad{suffix}": module("ReplicationPad", 1),
        f"CircularPad{suffix}": module("CircularPad", 1),
        f"BatchNorm{suffix}": module("BatchNorm", c),
        f"InstanceNorm{suffix}": module("InstanceNorm", c),
        "GroupNorm(2)": nn.GroupNorm(2, c),
        "LayerNorm of channels": lambda x: F.layer_norm(x.permute(last[0]), (c,)).permute(last[1]),
        "LocalResponseNorm(5)": nn.LocalResponseNorm(5),
        f"Dropout{suffix}": module("Dropout"),
        "Upsample nearest": nn.Upsample(scale_factor=2),
        f"Upsample {mode}": nn.Upsample(scale_factor=2, mode=mode),
        "x[:, :, 1:-1]": lambda x: x[:, :, 1:-1],
        "x.flip(2)": lambda x: x.flip(2),
        "x * x.mean(1, keepdim=True)": lambda x: x * x.mean(1, keepdim=True),
        "x.flatten(2).unflatten": lambda x: x.flatten(2).unflatten(2, x.shape[2:]),
        "torch.where(x > 0, x, 0.1 * x)": lambda x: torch.where(x > 0, x, 0.1 * x),
    }
    if axes == 1:
        found["x.unsqueeze(2), Conv2d, squeeze"] = nn.Sequential(
            nn.Unflatten(2, (1, 48)), nn.Conv2d(c, c, (1, 3)), nn.Flatten(2)
        )
        found["LSTM"] = _Sequence()
    return found


class _Permute(nn.Module):
    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.axes)


class _Bilinear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Bilinear(CHANNELS, CHANNELS, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        last = x.permute(0, 2, 3, 1)
        made: Tensor = self.inner(last, last).permute(0, 3, 1, 2)
        return made


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(CHANNELS, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        made: Tensor = self.inner(tokens, tokens, tokens, need_weights=False)[0]
        return made.transpose(1, 2).unflatten(2, x.shape[2:])


class _Rows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.LSTM(CHANNELS * 24, CHANNELS * 24, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.inner(x.permute(0, 2, 1, 3).flatten(2))[0]
        return made.unflatten(2, (CHANNELS, 24)).permute(0, 2, 1, 3)


class _Sequence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.LSTM(CHANNELS, CHANNELS, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.inner(x.transpose(1, 2))[0]
        return made.transpose(1, 2)

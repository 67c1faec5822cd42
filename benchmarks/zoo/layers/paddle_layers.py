"""Layers of Paddle between two convolutions, written by paddle2onnx."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional as F

Middle = Callable[[Any], Any]

_ACTIVATIONS = (
    "CELU ELU GELU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid Mish ReLU ReLU6 SELU Sigmoid Silu "
    "Softplus Softshrink Softsign Swish Tanh Tanhshrink ThresholdedReLU"
).split()


def jobs() -> Iterator[tuple[str, int, Callable[[Path], Any]]]:
    """Layer, number of axes, and what writes the file."""
    for name, middle in _pictures().items():
        yield name, 2, _writer(middle)


def _writer(middle: Middle) -> Callable[[Path], Any]:
    def write(path: Path) -> None:
        paddle.seed(0)
        net = _Net(middle)
        net.eval()
        spec = paddle.static.InputSpec([None, 3, 24, 24], "float32", "x")
        paddle.onnx.export(net, str(path.with_suffix("")), [spec], opset_version=17)

    return write


class _Net(nn.Layer):
    def __init__(self, middle: Middle) -> None:
        super().__init__()
        self.first = nn.Conv2D(3, 8, 3, padding=1, bias_attr=nn.initializer.Normal())
        self.middle = middle
        with paddle.no_grad():
            channels = middle(paddle.zeros([1, 8, 24, 24])).shape[1]
        self.last = nn.Sequential(nn.Conv2D(channels, 8, 3, bias_attr=nn.initializer.Normal()), nn.ReLU())
        self.classifier = nn.Sequential(nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(8, 5))

    def forward(self, x: Any) -> Any:
        return self.classifier(self.last(self.middle(self.first(x))))


def _pictures() -> dict[str, Middle]:
    return {
        **{name: getattr(nn, name)() for name in _ACTIVATIONS},
        "PReLU(8)": nn.PReLU(8),
        "Maxout(2)": nn.Maxout(2),
        "Softmax(1)": nn.Softmax(1),
        "Conv2D groups": nn.Conv2D(8, 8, 3, 2, 1, groups=2),
        "Conv2D same": nn.Conv2D(8, 8, 4, padding="SAME"),
        "Conv2D reflect": nn.Conv2D(8, 8, 3, padding=1, padding_mode="reflect"),
        "Conv2D circular": nn.Conv2D(8, 8, 3, padding=1, padding_mode="circular"),
        "Conv2DTranspose": nn.Conv2DTranspose(8, 8, 3, 2, 1, 1),
        "MaxPool2D ceil": nn.MaxPool2D(3, 2, ceil_mode=True),
        "AvgPool2D": nn.AvgPool2D(3, 2, 1),
        "AvgPool2D ceil": nn.AvgPool2D(3, 2, ceil_mode=True),
        "AdaptiveAvgPool2D(8)": nn.AdaptiveAvgPool2D(8),
        "AdaptiveAvgPool2D([7, 10])": nn.AdaptiveAvgPool2D([7, 10]),
        "AdaptiveMaxPool2D(8)": nn.AdaptiveMaxPool2D(8),
        "BatchNorm2D": nn.BatchNorm2D(8),
        "GroupNorm": nn.GroupNorm(2, 8),
        "InstanceNorm2D": nn.InstanceNorm2D(8),
        "LayerNorm of channels": lambda x: F.layer_norm(x.transpose([0, 2, 3, 1]), 8).transpose([0, 3, 1, 2]),
        "LocalResponseNorm": nn.LocalResponseNorm(5),
        "Pad2D": nn.Pad2D([1, 2, 0, 1]),
        "Pad2D reflect": nn.Pad2D(1, "reflect"),
        "Pad2D replicate": nn.Pad2D(1, "replicate"),
        "Pad2D circular": nn.Pad2D(1, "circular"),
        "ZeroPad2D": nn.ZeroPad2D(1),
        "PixelShuffle": nn.PixelShuffle(2),
        "PixelUnshuffle": nn.PixelUnshuffle(2),
        "ChannelShuffle": nn.ChannelShuffle(2),
        "Upsample nearest": nn.Upsample(scale_factor=2, mode="nearest"),
        "Upsample bilinear": nn.Upsample(scale_factor=2, mode="bilinear"),
        "Upsample bicubic": nn.Upsample(size=[31, 37], mode="bicubic", align_corners=True),
        "Dropout": nn.Dropout(),
        "Dropout2D": nn.Dropout2D(),
        "Unfold, Fold": nn.Sequential(nn.Unfold(3, paddings=1), nn.Fold([24, 24], 3, paddings=1)),
        "paddle.where": lambda x: paddle.where(x > 0, x, 0.1 * x),
        "paddle.clip": lambda x: paddle.clip(x, -0.2, 0.3),
        "paddle.roll": lambda x: paddle.roll(x, [2, 3], [2, 3]),
        "paddle.flip": lambda x: paddle.flip(x, [2]),
        "paddle.split": lambda x: paddle.split(x, 2, 1)[0] * F.sigmoid(paddle.split(x, 2, 1)[1]),
        "x.reshape": lambda x: F.relu(x.reshape([-1, 8, 576])).reshape([-1, 8, 24, 24]),
        "squeeze and excitation": lambda x: x * F.sigmoid(F.adaptive_avg_pool2d(x, 1)),
        "normalize": lambda x: F.normalize(x, axis=1),
        "mean of channels": lambda x: x * x.mean(1, keepdim=True),
        "x ** 2": lambda x: x**2,
        "x.abs().sqrt()": lambda x: (x.abs() + 0.1).sqrt(),
    }

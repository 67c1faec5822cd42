"""VGG16, ResNet18, InceptionV3, DenseNet121 and MobileNetV2 in plain torch, with random weights of a fixed seed.

Random weights serve tests and benchmarks only where a patch of a picture moves the logits by far more
than rounding does. He's initialisation carries the signal through Relu, each BatchNormalization gets an
affine part of its own and the statistics of textured pictures, and residual branches are halved, so that
activations stay of order 1 at any depth.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from models.torch_densenet import DenseNet121
from models.torch_inception import InceptionV3
from models.torch_layers import LastOfResidual, conv_bn

_SIZES = {"vgg16": 224, "resnet18": 224, "inception_v3": 299, "densenet121": 224, "mobilenet_v2": 224}
SPARSE = "_sparse"
"""Behind the name of a network with normalisations: its Relus keep as few entries as those of trained ones."""
IMAGE_SIZES = {
    **_SIZES,
    **{f"{name}{SPARSE}": _SIZES[name] for name in ("resnet18", "inception_v3", "densenet121")},
}

_RESIDUAL_SCALE = 0.5
_CALIBRATION_PICTURES = 8
# Mean and standard deviation of the normalisations' biases. Near 0, 0 a deep network is chaotic: InceptionV3's logits
# then change by up to 1.3e-5 of their maximum with onnxruntime's optimisation level, with 0.3, 0.6 by 3e-6, against
# 0.03 to 0.06 for a black patch of 16; 4 activations in 10 are still zero.
_BIAS = (0.3, 0.6)
# The same of sparse networks: a third of the entries is kept, where trained ones keep 20 to 50 %.
_SPARSE_BIAS = (-0.3, 0.4)


def build(name: str, seed: int = 0, num_classes: int = 1000) -> nn.Module:
    """The network in eval mode; equal arguments give equal weights, and torch's own random state is left alone."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = _BUILDERS[name.removesuffix(SPARSE)](num_classes)
        for module in model.modules():
            _initialise(module, _SPARSE_BIAS if name.endswith(SPARSE) else _BIAS)
        if any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
            model.train()(textures(_CALIBRATION_PICTURES, IMAGE_SIZES[name]))
    return model.eval()


def textures(count: int, size: int) -> torch.Tensor:
    """Random pictures with structure at several scales, float32 [count, 3, size, size], of unit variance."""
    picture = torch.zeros(count, 3, size, size)
    for cells in (4, 16, 64):
        noise = torch.randn(count, 3, cells, cells)
        picture += nn.functional.interpolate(noise, size=(size, size), mode="bilinear", align_corners=False)
    return picture / picture.std()


def _initialise(module: nn.Module, bias: tuple[float, float]) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.normal_(module.bias, std=0.1)
    if isinstance(module, nn.BatchNorm2d):
        scale = _RESIDUAL_SCALE if isinstance(module, LastOfResidual) else 1.0
        nn.init.uniform_(module.weight, 0.5 * scale, 1.5 * scale)
        nn.init.normal_(module.bias, *bias)
        module.momentum = None  # the plain mean over the calibration pictures


class VGG16(nn.Module):
    """Simonyan and Zisserman (2014), configuration D."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(depth):
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
                inputs = width
            layers.append(nn.MaxPool2d(2))
        hidden = [nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout()]
        self.layers = nn.Sequential(*layers, nn.Flatten(), *hidden, nn.Linear(4096, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 3, 224, 224] -> [N, classes]."""
        logits: torch.Tensor = self.layers(x)
        return logits


class BasicBlock(nn.Module):
    """Relu(two 3x3 convolutions + shortcut); the shortcut is a 1x1 convolution where shapes change."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_bn(inputs, outputs, 3, stride, 1, nn.ReLU()),
            conv_bn(outputs, outputs, 3, padding=1, norm=LastOfResidual),
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else conv_bn(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        return torch.relu(self.body(x) + self.shortcut(x))


class ResNet18(nn.Module):
    """He et al. (2015), 18 layers."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        inputs = 64
        for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            blocks += [BasicBlock(inputs, width, stride), BasicBlock(width, width, 1)]
            inputs = width
        self.stem = nn.Sequential(conv_bn(3, 64, 7, 2, 3, nn.ReLU()), nn.MaxPool2d(3, 2, 1))
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 3, 224, 224] -> [N, classes]."""
        logits: torch.Tensor = self.head(self.blocks(self.stem(x)))
        return logits


class InvertedResidual(nn.Module):
    """Expand (1x1), depthwise 3x3, project (1x1, linear); added to its input where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.body = nn.Sequential(
            *([conv_bn(inputs, width, 1, activation=nn.ReLU6())] if expansion > 1 else []),
            conv_bn(width, width, 3, stride, 1, nn.ReLU6(), groups=width),
            conv_bn(width, outputs, 1, norm=LastOfResidual if self.residual else nn.BatchNorm2d),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        y: torch.Tensor = self.body(x)
        return x + y if self.residual else y


class MobileNetV2(nn.Module):
    """Sandler et al. (2018), width 1."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        inputs = 32
        for expansion, width, depth, stride in (
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        ):
            for index in range(depth):
                blocks.append(InvertedResidual(inputs, width, stride if index == 0 else 1, expansion))
                inputs = width
        self.features = nn.Sequential(
            conv_bn(3, 32, 3, 2, 1, nn.ReLU6()), *blocks, conv_bn(320, 1280, 1, activation=nn.ReLU6())
        )
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 3, 224, 224] -> [N, classes]."""
        # The mean, not a pooling layer: exporters write a ReduceMean, as they do for torchvision's network.
        logits: torch.Tensor = self.head(self.features(x).mean([2, 3]))
        return logits


_BUILDERS: dict[str, Callable[[int], nn.Module]] = {
    "vgg16": VGG16,
    "resnet18": ResNet18,
    "inception_v3": InceptionV3,
    "densenet121": DenseNet121,
    "mobilenet_v2": MobileNetV2,
}

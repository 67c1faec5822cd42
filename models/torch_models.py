"""VGG16, ResNet18, InceptionV3 and MobileNetV2 in plain torch, random weights of a fixed seed.

He-initialised weights keep the signal through Relu; the statistics of every BatchNormalization are
calibrated on textured random pictures, so that activations stay of order 1 and differ between pictures.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

IMAGE_SIZES = {"vgg16": 224, "resnet18": 224, "inception_v3": 299, "mobilenet_v2": 224}


def build(name: str, seed: int = 0, num_classes: int = 1000) -> nn.Module:
    """The network in eval mode."""
    torch.manual_seed(seed)
    model = _BUILDERS[name](num_classes)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.momentum = None  # a plain mean over the calibration pictures
    with torch.no_grad():
        model.train()(textures(8, IMAGE_SIZES[name]))
    return model.eval()


def textures(count: int, size: int) -> torch.Tensor:
    """Random pictures with structure at several scales, float32 [count, 3, size, size], about N(0, 1)."""
    picture = torch.zeros(count, 3, size, size)
    for cells in (4, 16, 64):
        noise = torch.randn(count, 3, cells, cells)
        picture += nn.functional.interpolate(noise, size=(size, size), mode="bilinear", align_corners=False)
    return picture / picture.std()


def conv_bn(inputs: int, outputs: int, kernel: int | tuple[int, int], activation: nn.Module | None, **options):  # type: ignore[no-untyped-def]
    """Conv without bias, BatchNormalization, activation."""
    layers = [nn.Conv2d(inputs, outputs, kernel, bias=False, **options), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([activation] if activation is not None else []))


class VGG16(nn.Module):
    """Simonyan and Zisserman, configuration D."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(depth):
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
                inputs = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            *(nn.Linear(512 * 49, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout()),
            nn.Linear(4096, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 3, 224, 224] -> [N, classes]."""
        return self.classifier(torch.flatten(self.features(x), 1))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = conv_bn(inputs, outputs, 3, nn.ReLU(), stride=stride, padding=1)
        self.second = conv_bn(outputs, outputs, 3, None, padding=1)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else conv_bn(inputs, outputs, 1, None, stride=stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum, through Relu."""
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))


class ResNet18(nn.Module):
    """He et al., 18 layers."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_bn(3, 64, 7, nn.ReLU(), stride=2, padding=3), nn.MaxPool2d(3, 2, 1)]
        inputs = 64
        for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            layers += [BasicBlock(inputs, width, stride), BasicBlock(width, width, 1)]
            inputs = width
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(512, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 3, 224, 224] -> [N, classes]."""
        return self.classifier(torch.flatten(self.pool(self.features(x)), 1))


class InvertedResidual(nn.Module):
    """Expand, depthwise, project; the bottleneck is linear."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int) -> None:
        super().__init__()
        width = inputs * expand
        layers = [conv_bn(inputs, width, 1, nn.ReLU6())] if expand > 1 else []
        layers.append(conv_bn(width, width, 3, nn.ReLU6(), stride=stride, padding=1, groups=width))
        layers.append(conv_bn(width, outputs, 1, None))
        self.body = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The body, added to its input where shapes allow."""
        return x + self.body(x) if self.residual else self.body(x)


_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""MobileNetV2's rows of (expansion, width, depth, first stride)."""


class MobileNetV2(nn.Module):
    """Sandler et al., width 1."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_bn(3, 32, 3, nn.ReLU6(), stride=2, padding=1)]
        inputs = 32
        for expand, width, depth, stride in _STAGES:
            for index in range(depth):
                layers.append(InvertedResidual(inputs, width, stride if index == 0 else 1, expand))
                inputs = width
        layers.append(conv_bn(320, 1280, 1, nn.ReLU6()))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 3, 224, 224] -> [N, classes]."""
        return self.classifier(self.features(x).mean([2, 3]))


def _inception_v3(classes: int) -> nn.Module:
    from models.torch_inception import InceptionV3

    return InceptionV3(classes)


_BUILDERS: dict[str, Callable[[int], nn.Module]] = {
    "vgg16": VGG16,
    "resnet18": ResNet18,
    "inception_v3": _inception_v3,
    "mobilenet_v2": MobileNetV2,
}

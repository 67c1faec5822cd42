"""Convolutions of known networks, each with the boxes that windows of 16 at stride 4 become on its input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Boxes, Window


@dataclass(frozen=True)
class Layer:
    """A convolution of maps (H, W) with ``channels``, and the boxes of all windows before and after it."""

    name: str
    channels: int
    maps: int
    window: Window
    x_boxes: Boxes
    y_boxes: Boxes


_VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512)
"""Maps of each convolution; 0 is a pool."""
_RESNET18 = ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1))
"""Maps and stride of each block."""


def vgg16(size: int = 224, patch: int = 16, stride: int = 4, width: float = 1.0) -> Iterator[Layer]:
    """Its 13 convolutions."""
    walk = _Walk(size, patch, stride)
    for maps in _VGG16:
        if maps:
            yield walk.conv(int(maps * width), 3, 1, 1)
        else:
            walk.pool(2, 2, 0)


def resnet18(size: int = 224, patch: int = 16, stride: int = 4, width: float = 1.0) -> Iterator[Layer]:
    """The first convolution and the two of each block; shortcuts are left out."""
    walk = _Walk(size, patch, stride)
    yield walk.conv(int(64 * width), 7, 2, 3)
    walk.pool(3, 2, 1)
    for maps, step in _RESNET18:
        yield walk.conv(int(maps * width), 3, step, 1)
        yield walk.conv(int(maps * width), 3, 1, 1)


NETWORKS = {"VGG16": vgg16, "ResNet18": resnet18}


class _Walk:
    """Boxes and shapes, layer after layer."""

    def __init__(self, size: int, patch: int, stride: int) -> None:
        self.size, self.channels, self.count = size, 3, 0
        self.boxes = geometry.occlusion_grid((size, size), (patch, patch), (stride, stride)).astype("int32")

    def conv(self, maps: int, kernel: int, stride: int, pad: int) -> Layer:
        before, channels = self.boxes, self.channels
        window = self.pool(kernel, stride, pad)
        self.count, self.channels = self.count + 1, maps
        return Layer(f"conv{self.count}", channels, maps, window, before, self.boxes)

    def pool(self, kernel: int, stride: int, pad: int) -> Window:
        after = (self.size + 2 * pad - kernel) // stride + 1
        window = Window((kernel, kernel), (stride, stride), (pad, pad), (1, 1), (self.size, self.size), (after, after))
        self.boxes, self.size = geometry.window_boxes(self.boxes, window), after
        return window

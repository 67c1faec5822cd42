"""Networks of signals and volumes after well-known ones, of any size and width, with seeded weights."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx

from tests.support.graphs import parse


@dataclass
class Network:
    """Text and weights, grown layer by layer; weights keep a map's variance."""

    channels: int
    axes: int
    text: list[str] = field(default_factory=list)
    weights: dict[str, object] = field(default_factory=dict)
    last: str = "x"

    def add(self, call: str) -> str:
        """``OP<...>`` of the last tensor, or of what stands in parentheses."""
        self.last = f"t{len(self.text)}"
        self.text.append(f"{self.last} = {call}")
        return self.last

    def conv(self, maps: int, kernel: tuple[int, ...], stride: tuple[int, ...], source: str) -> str:
        pads = [k // 2 for k in kernel]
        weight, bias = f"w{len(self.weights)}", f"b{len(self.weights)}"
        self.weights[weight], self.weights[bias] = (maps, self.channels, *kernel), np.full(maps, 0.05, np.float32)
        self.channels = maps
        return self.add(f"Conv<strides={list(stride)}, pads={pads * 2}>({source}, {weight}, {bias})")

    def relu(self) -> str:
        return self.add(f"Relu({self.last})")

    def pool(self, kernel: tuple[int, ...], stride: tuple[int, ...], pads: tuple[int, ...]) -> str:
        attributes = f"kernel_shape={list(kernel)}, strides={list(stride)}, pads={[*pads, *pads]}"
        return self.add(f"MaxPool<{attributes}>({self.last})")

    def block(self, maps: int, stride: int) -> None:
        """A basic residual block."""
        start, channels, each = self.last, self.channels, (stride,) * self.axes
        self.conv(maps, (3,) * self.axes, each, start)
        self.relu()
        main = self.conv(maps, (3,) * self.axes, (1,) * self.axes, self.last)
        if stride != 1 or channels != maps:
            self.channels = channels
            start = self.conv(maps, (1,) * self.axes, each, start)
        self.add(f"Add({main}, {start})")
        self.relu()

    def model(self, image: tuple[int, ...], classes: int = 5) -> onnx.ModelProto:
        """With a mean and a linear layer at the end."""
        shape = ",".join(map(str, image))
        self.add(f"GlobalAveragePool({self.last})")
        self.add(f"Flatten({self.last})")
        self.weights["fw"] = (classes, self.channels)
        text = f"{' '.join(self.text)} y = Gemm<transB=1>({self.last}, fw)"
        return parse(text, image=f"float[N,{shape}] x", scores=f"float[N,{classes}] y", **self.weights)


def resnet18_3d(size: tuple[int, int, int] = (16, 32, 32), width: int = 8, channels: int = 3) -> onnx.ModelProto:
    """ResNet18 whose convolutions are 3x3x3, its stem 7x7x7 of stride (1, 2, 2)."""
    net = Network(channels, 3)
    net.conv(width, (7, 7, 7), (1, 2, 2), "x")
    net.relu()
    net.pool((3, 3, 3), (2, 2, 2), (1, 1, 1))
    for stage in range(4):
        for index in range(2):
            net.block(width << stage, 2 if stage and not index else 1)
    return net.model((channels, *size))


def c3d(size: tuple[int, int, int] = (16, 32, 32), width: int = 8, channels: int = 3) -> onnx.ModelProto:
    """C3D: 3x3x3 convolutions and pools, two fully connected layers."""
    net = Network(channels, 3)
    for maps, count, depth in ((1, 1, 1), (2, 1, 2), (4, 2, 2), (8, 2, 2)):
        for _ in range(count):
            net.conv(width * maps, (3, 3, 3), (1, 1, 1), net.last)
            net.relu()
        net.pool((depth, 2, 2), (depth, 2, 2), (0, 0, 0))
    features = net.channels * (size[0] // 8) * (size[1] // 16) * (size[2] // 16)
    shape = ",".join(map(str, (channels, *size)))
    net.weights |= {"f1": (64 * width, features), "f2": (5, 64 * width)}
    tail = f"f = Flatten({net.last}) g = Gemm<transB=1>(f, f1) h = Relu(g) y = Gemm<transB=1>(h, f2)"
    return parse(f"{' '.join(net.text)} {tail}", image=f"float[N,{shape}] x", **net.weights)


def ecg_resnet(length: int = 200, width: int = 8) -> onnx.ModelProto:
    """A residual network of 12 leads: a stem of 15, blocks of 7."""
    net = Network(12, 1)
    net.conv(width, (15,), (2,), "x")
    net.relu()
    net.pool((3,), (2,), (1,))
    for stage in range(4):
        net.block(width << stage, 2 if stage else 1)
    return net.model((12, length))

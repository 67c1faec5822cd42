"""SqueezeNet 1.1 from its pickled weights: [HWIO kernel, bias] by layer name; inputs are BGR, mean subtracted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.graph_writer import GraphWriter
from models.unpickle import load_arrays


def convert(weights: Path, target: Path) -> None:
    """Writes the ONNX model."""
    net = _SqueezeNet(load_arrays(weights), GraphWriter("squeezenet11"))
    x = net.pool(net.conv_relu("input", "conv1", stride=2), "pool1")
    x = net.pool(net.fire(net.fire(x, "fire2"), "fire3"), "pool3")
    x = net.pool(net.fire(net.fire(x, "fire4"), "fire5"), "pool5")
    for name in ("fire6", "fire7", "fire8", "fire9"):
        x = net.fire(x, name)
    x = net.graph.node("GlobalAveragePool", [net.conv(x, "conv10")], "gap")
    net.graph.node("Softmax", [net.graph.node("Flatten", [x], "logits")], "output", axis=1)
    net.graph.save(target)


@dataclass(frozen=True)
class _SqueezeNet:
    weights: dict[str, Any]
    graph: GraphWriter

    def fire(self, x: str, name: str) -> str:
        """Squeeze (1x1), then expand in two branches (1x1 and 3x3), side by side."""
        squeezed = self.conv_relu(x, f"{name}/squeeze1x1")
        branches = [self.conv_relu(squeezed, f"{name}/expand{size}") for size in ("1x1", "3x3")]
        return self.graph.node("Concat", branches, name, axis=1)

    def pool(self, x: str, name: str) -> str:
        """MaxPool 3x3, stride 2, no padding."""
        return self.graph.node("MaxPool", [x], name, kernel_shape=[3, 3], strides=[2, 2])

    def conv_relu(self, x: str, name: str, stride: int = 1) -> str:
        """Conv and Relu."""
        return self.graph.node("Relu", [self.conv(x, name, stride)], f"{name}.relu")

    def conv(self, x: str, name: str, stride: int = 1) -> str:
        """Conv, its kernel HWIO -> OIHW."""
        kernel, bias = (np.asarray(array, np.float32) for array in self.weights[name][:2])
        return self.graph.conv(x, name, kernel.transpose(3, 2, 0, 1), bias.reshape(-1), stride)

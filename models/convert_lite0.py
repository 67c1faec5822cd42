"""EfficientNet-Lite0 from its PyTorch checkpoint, without PyTorch.

Each BatchNormalization is folded into its Conv:

    g = weight / sqrt(running_var + epsilon)     W' = g W     b' = bias - g running_mean
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.graph_writer import GraphWriter
from models.unpickle import Array, load_state_dict

_BLOCKS = 16
_HALVING = (1, 3, 5, 11)  # blocks of stride 2
_EPSILON = 1e-3


def convert(weights: Path, target: Path) -> None:
    """Writes the ONNX model."""
    net = _Lite0(load_state_dict(weights), GraphWriter("efficientnet_lite0"))
    net.graph.constant("zero", 0.0)
    net.graph.constant("six", 6.0)
    x = net.conv_relu6("input", "_conv_stem", "_bn0", stride=2)
    for index in range(_BLOCKS):
        x = net.block(x, f"_blocks.{index}", 2 if index in _HALVING else 1)
    x = net.graph.node("GlobalAveragePool", [net.conv_relu6(x, "_conv_head", "_bn1")], "gap")
    x = net.graph.node("Flatten", [x], "flat")
    weight = net.graph.constant("fc.w", net.state["_fc.weight"])
    bias = net.graph.constant("fc.b", net.state["_fc.bias"])
    net.graph.node("Gemm", [x, weight, bias], "output", transB=1)
    net.graph.save(target)


@dataclass(frozen=True)
class _Lite0:
    state: dict[str, Array]
    graph: GraphWriter

    def block(self, x: str, name: str, stride: int) -> str:
        """Expand (1x1, not in the first block), depthwise, project (1x1), and the residual where shapes allow it."""
        inputs = self.state[f"{name}._depthwise_conv.weight"].shape[0]
        y = x
        if f"{name}._expand_conv.weight" in self.state:
            inputs = self.state[f"{name}._expand_conv.weight"].shape[1]
            y = self.conv_relu6(y, f"{name}._expand_conv", f"{name}._bn0")
        y = self.conv_relu6(y, f"{name}._depthwise_conv", f"{name}._bn1", stride)
        y = self.conv(y, f"{name}._project_conv", f"{name}._bn2")
        outputs = self.state[f"{name}._project_conv.weight"].shape[0]
        return self.graph.node("Add", [y, x], f"{name}.add") if stride == 1 and inputs == outputs else y

    def conv_relu6(self, x: str, name: str, norm: str, stride: int = 1) -> str:
        """Conv and clip to [0, 6]."""
        return self.graph.node("Clip", [self.conv(x, name, norm, stride), "zero", "six"], f"{name}.relu6")

    def conv(self, x: str, name: str, norm: str, stride: int = 1) -> str:
        """Conv with its normalisation folded in, in float64."""
        weight = self.state[f"{name}.weight"].astype(np.float64)
        variance = self.state[f"{norm}.running_var"].astype(np.float64)
        gain = self.state[f"{norm}.weight"] / np.sqrt(variance + _EPSILON)
        bias = self.state[f"{norm}.bias"] - self.state[f"{norm}.running_mean"] * gain
        depthwise = weight.shape[1] == 1
        group = weight.shape[0] if depthwise else 1
        return self.graph.conv(x, name, weight * gain[:, None, None, None], bias, stride, group)

"""EfficientNet-Lite0 from its PyTorch checkpoint, without PyTorch; each BatchNormalization folded into its Conv."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.graph_writer import GraphWriter
from models.unpickle import Array, load_state_dict

_BLOCKS = 16
_HALVED = (1, 3, 5, 11)  # blocks of stride 2
_EPSILON = 1e-3


def convert(weights: Path, target: Path) -> None:
    """Writes the ONNX model."""
    net = _Lite0(load_state_dict(weights), GraphWriter("efficientnet_lite0"))
    net.graph.constant("zero", 0.0)
    net.graph.constant("six", 6.0)
    x = net.conv("input", "_conv_stem", "_bn0", stride=2)
    for index in range(_BLOCKS):
        x = net.block(x, f"_blocks.{index}", 2 if index in _HALVED else 1)
    x = net.graph.node("GlobalAveragePool", [net.conv(x, "_conv_head", "_bn1")], "gap")
    weight = net.graph.constant("fc.weight", net.state["_fc.weight"])
    bias = net.graph.constant("fc.bias", net.state["_fc.bias"])
    net.graph.node("Gemm", [net.graph.node("Flatten", [x], "flat"), weight, bias], "output", transB=1)
    net.graph.save(target)


@dataclass(frozen=True)
class _Lite0:
    state: dict[str, Array]
    graph: GraphWriter

    def block(self, x: str, name: str, stride: int) -> str:
        """Expand (1x1), depthwise, project (1x1), and the residual where shapes allow it."""
        depth = self.state[f"{name}._depthwise_conv.weight"].shape[0]
        y, channels = x, depth
        if f"{name}._expand_conv.weight" in self.state:
            channels = self.state[f"{name}._expand_conv.weight"].shape[1]
            y = self.conv(y, f"{name}._expand_conv", f"{name}._bn0")
        y = self.conv(y, f"{name}._depthwise_conv", f"{name}._bn1", stride)
        y = self.conv(y, f"{name}._project_conv", f"{name}._bn2", activation=False)
        residual = stride == 1 and self.state[f"{name}._project_conv.weight"].shape[0] == channels
        return self.graph.node("Add", [y, x], f"{name}.add") if residual else y

    def conv(self, x: str, name: str, norm: str, stride: int = 1, activation: bool = True) -> str:
        """Conv with its normalisation folded in, and ReLU6."""
        weight = self.state[f"{name}.weight"].astype(np.float64)
        variance = self.state[f"{norm}.running_var"].astype(np.float64)
        gain = self.state[f"{norm}.weight"] / np.sqrt(variance + _EPSILON)
        shift = self.state[f"{norm}.bias"] - self.state[f"{norm}.running_mean"] * gain
        inputs = [
            x,
            self.graph.constant(f"{name}.weight", weight * gain[:, None, None, None]),
            self.graph.constant(f"{name}.bias", shift),
        ]
        group = weight.shape[0] if weight.shape[1] == 1 else 1
        y = self.graph.node(
            "Conv",
            inputs,
            name,
            kernel_shape=weight.shape[2:],
            strides=[stride, stride],
            group=group,
            auto_pad="SAME_UPPER",
        )
        return self.graph.node("Clip", [y, "zero", "six"], f"{name}.relu6") if activation else y

"""SqueezeNet 1.1 from its pickled weights: [HWIO weights, biases] by layer name; inputs are BGR, mean subtracted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from models.graph_writer import GraphWriter
from models.unpickle import load_arrays


def convert(weights: Path, target: Path) -> None:
    """Writes the ONNX model."""
    arrays = load_arrays(weights)
    graph = GraphWriter("squeezenet1_1")
    x = _pool(graph, _conv_relu(graph, arrays, "input", "conv1", stride=2), "pool1")
    for name in ("fire2", "fire3"):
        x = _fire(graph, arrays, x, name)
    x = _pool(graph, x, "pool3")
    for name in ("fire4", "fire5"):
        x = _fire(graph, arrays, x, name)
    x = _pool(graph, x, "pool5")
    for name in ("fire6", "fire7", "fire8", "fire9"):
        x = _fire(graph, arrays, x, name)
    x = graph.node("GlobalAveragePool", [_conv(graph, arrays, x, "conv10")], "gap")
    graph.node("Softmax", [graph.node("Flatten", [x], "logits")], "output", axis=1)
    graph.save(target)


def _conv(graph: GraphWriter, arrays: dict[str, Any], x: str, name: str, stride: int = 1) -> str:
    kernel = np.asarray(arrays[name][0], np.float32).transpose(3, 2, 0, 1)
    weight = graph.constant(f"{name}.weight", kernel)
    bias = graph.constant(f"{name}.bias", np.asarray(arrays[name][1]).reshape(-1))
    shape = kernel.shape[2:]
    return graph.node(
        "Conv", [x, weight, bias], name, kernel_shape=shape, strides=[stride, stride], auto_pad="SAME_UPPER"
    )


def _conv_relu(graph: GraphWriter, arrays: dict[str, Any], x: str, name: str, stride: int = 1) -> str:
    return graph.node("Relu", [_conv(graph, arrays, x, name, stride)], f"{name}.relu")


def _pool(graph: GraphWriter, x: str, name: str) -> str:
    return graph.node("MaxPool", [x], name, kernel_shape=[3, 3], strides=[2, 2])


def _fire(graph: GraphWriter, arrays: dict[str, Any], x: str, name: str) -> str:
    squeezed = _conv_relu(graph, arrays, x, f"{name}/squeeze1x1")
    branches = [_conv_relu(graph, arrays, squeezed, f"{name}/expand{size}") for size in ("1x1", "3x3")]
    return graph.node("Concat", branches, name, axis=1)

"""Writes small ONNX graphs node by node; every node is called after its output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

_OPSET, _IR_VERSION = 17, 8


class GraphWriter:
    """Collects nodes and initializers of a graph from ``input`` [N, 3, 224, 224] to ``output`` [N, 1000]."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, array: npt.ArrayLike) -> str:
        """A float32 initializer of at least one axis; returns its name."""
        self._initializers.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Appends a node and returns the name of its output."""
        self._nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def conv(
        self, x: str, name: str, weight: npt.ArrayLike, bias: npt.ArrayLike, stride: int = 1, group: int | None = None
    ) -> str:
        """A Conv padded to ceil(size / stride) outputs, an odd pixel of padding at the end."""
        kernel = np.shape(weight)[2:]
        options = {} if group is None else {"group": group}
        inputs = [x, self.constant(f"{name}.w", weight), self.constant(f"{name}.b", bias)]
        strides = [stride, stride]
        return self.node("Conv", inputs, name, kernel_shape=kernel, strides=strides, auto_pad="SAME_UPPER", **options)

    def save(self, path: Path) -> None:
        """Checks and writes the model."""
        image = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 224, 224])
        scores = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", 1000])
        graph = helper.make_graph(self._nodes, self._name, [image], [scores], self._initializers)
        opsets = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        onnx.checker.check_model(model)
        onnx.save(model, path)

"""Replace the ops that ONNX has retired or changed and onnxruntime still runs, by what they compute.

    ImageScaler(x; scale s, bias b)    ->    Add(Mul(x, s), b)          below opset 10, of CoreML's and Custom Vision's
    Affine(x; alpha, beta)             ->    Add(Mul(x, alpha), beta)   exporters; so are the next ones
    Scale(x; scale)                    ->    Mul(x, scale)
    Crop(x; border)                    ->    Slice(x)
    ScaledTanh, ParametricSoftplus     ->    Mul, Tanh or Softplus, Mul
    ThresholdedRelu(x; alpha)          ->    Mul(x, Cast(Greater(x, alpha)))
    MeanVarianceNormalization          ->    below opset 9 Sub, Div of means; from there on with its axes spelled out
    GroupNormalization, opset 18 to 20 ->    Reshape(InstanceNormalization(Reshape(x, [0, groups, -1]), scale, bias))

The scale and bias of GroupNormalization 18 are those of groups; those of 21 are of channels, and stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from krypton_compile.passes.frontend.source_model import SourceModel

_EXPERIMENTAL_UNTIL = 10
_GROUPS_IN = range(18, 21)
_MVN_HAS_AXES = 9
_MVN_AXES = [0, 2, 3]
_END = 1 << 31


@dataclass
class _Writer:
    """Writes the nodes that take one's place; their names begin with its output's."""

    node: onnx.NodeProto
    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def get(self, name: str, default: Any) -> Any:
        """An attribute of the node."""
        found = [each for each in self.node.attribute if each.name == name]
        return helper.get_attribute_value(found[0]) if found else default

    def constant(self, value: Any, dtype: type[np.generic] = np.float32) -> str:
        """Name a new constant."""
        name = f"{self.node.output[0]}.constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def emit(self, op: str, *inputs: str, last: bool = False, **attributes: Any) -> str:
        """Write a node; the last one has the output of the node that is replaced."""
        name = self.node.output[0] if last else f"{self.node.output[0]}.{len(self.nodes)}"
        label = self.node.name if last else name
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=label, **attributes))
        return name


def replace_retired(source: SourceModel) -> int:
    """Replace such nodes of the graph; return their number."""
    graph = source.proto.graph
    opset = max((entry.version for entry in source.proto.opset_import if not entry.domain), default=1)
    nodes: list[onnx.NodeProto] = []
    count = 0
    for node in graph.node:
        replace = _find_replacement(node, opset)
        if replace is None:
            nodes.append(node)
            continue
        writer = _Writer(node, opset)
        replace(writer, node.input[0])
        nodes += writer.nodes
        graph.initializer.extend(writer.constants)
        count += 1
    if count:
        copies = onnx.GraphProto()
        copies.node.extend(nodes)
        del graph.node[:]
        graph.node.extend(copies.node)
    return count


def find_retired(model: onnx.ModelProto) -> str | None:
    """Name the first such node; None where there is none."""
    opset = max((entry.version for entry in model.opset_import if not entry.domain), default=1)
    return next((node.op_type for node in model.graph.node if _find_replacement(node, opset)), None)


def _find_replacement(node: onnx.NodeProto, opset: int) -> Callable[[_Writer, str], None] | None:
    if node.domain or not node.input or not node.output:
        return None
    if node.op_type == "GroupNormalization":
        return _group_normalization if opset in _GROUPS_IN and len(node.input) > 2 else None
    if node.op_type == "MeanVarianceNormalization":
        has_axes = any(each.name == "axes" for each in node.attribute)
        return _mean_variance_1 if opset < _MVN_HAS_AXES else (None if has_axes else _mean_variance)
    return _EXPERIMENTAL.get(node.op_type) if opset < _EXPERIMENTAL_UNTIL else None


def _image_scaler(write: _Writer, x: str) -> None:
    bias = np.asarray(write.get("bias", [0.0]), np.float32).reshape(1, -1, 1, 1)
    scaled = write.emit("Mul", x, write.constant(write.get("scale", 1.0)))
    write.emit("Add", scaled, write.constant(bias), last=True)


def _affine(write: _Writer, x: str) -> None:
    scaled = write.emit("Mul", x, write.constant(write.get("alpha", 1.0)))
    write.emit("Add", scaled, write.constant(write.get("beta", 0.0)), last=True)


def _scale(write: _Writer, x: str) -> None:
    write.emit("Mul", x, write.constant(write.get("scale", 1.0)), last=True)


def _crop(write: _Writer, x: str) -> None:
    left, top, right, bottom = write.get("border", [0, 0, 0, 0])
    size: Sequence[int] = write.get("scale", [])
    ends = [top + size[0], left + size[1]] if size else [-bottom or _END, -right or _END]
    write.emit("Slice", x, axes=[2, 3], starts=[top, left], ends=ends, last=True)


def _scaled_tanh(write: _Writer, x: str) -> None:
    inner = write.emit("Tanh", write.emit("Mul", x, write.constant(write.get("beta", 1.0))))
    write.emit("Mul", inner, write.constant(write.get("alpha", 1.0)), last=True)


def _parametric_softplus(write: _Writer, x: str) -> None:
    inner = write.emit("Softplus", write.emit("Mul", x, write.constant(write.get("beta", 1.0))))
    write.emit("Mul", inner, write.constant(write.get("alpha", 1.0)), last=True)


def _thresholded_relu(write: _Writer, x: str) -> None:
    above = write.emit("Greater", x, write.constant(write.get("alpha", 1.0)))
    write.emit("Mul", x, write.emit("Cast", above, to=onnx.TensorProto.FLOAT), last=True)


def _mean_variance_1(write: _Writer, x: str) -> None:
    axes = [0, 1, 2, 3] if write.get("across_channels", 0) else _MVN_AXES
    centred_alone = not write.get("normalize_variance", 1)
    centred = write.emit("Sub", x, write.emit("ReduceMean", x, axes=axes, keepdims=1), last=centred_alone)
    if not centred_alone:
        variance = write.emit("ReduceMean", write.emit("Mul", centred, centred), axes=axes, keepdims=1)
        write.emit("Div", centred, write.emit("Sqrt", variance), last=True)


def _mean_variance(write: _Writer, x: str) -> None:
    """Onnx's shape inference fails on the default."""
    write.emit("MeanVarianceNormalization", x, axes=_MVN_AXES, last=True)


def _group_normalization(write: _Writer, x: str) -> None:
    shape = write.emit("Shape", x)
    groups = write.emit("Reshape", x, write.constant([0, write.get("num_groups", 1), -1], np.int64))
    epsilon = write.get("epsilon", 1e-5)
    normal = write.emit("InstanceNormalization", groups, *write.node.input[1:3], epsilon=epsilon)
    write.emit("Reshape", normal, shape, last=True)


_EXPERIMENTAL: dict[str, Callable[[_Writer, str], None]] = {
    "Affine": _affine,
    "Crop": _crop,
    "ImageScaler": _image_scaler,
    "ParametricSoftplus": _parametric_softplus,
    "Scale": _scale,
    "ScaledTanh": _scaled_tanh,
    "ThresholdedRelu": _thresholded_relu,
}

"""Decompose ops that are a few others, so that they need no rules of their own.

Sum(A, B, C)       ->    Add(Add(A, B), C);          Max and Min alike
Mean(A, B)         ->    Mul(Add(A, B), 1/2)
Gemm<alpha, beta>  ->    Gemm with alpha W and beta b
Pad<axes>          ->    Pad of all axes: onnxruntime may fail on the former where Transposes are near
Mul(A, Expand(B))  ->    Mul(A, B)      where A has the shape already; other functions of two alike
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.passes.shapes import has_static_shape, static_shape
from krypton_compile.passes.simplify.initializers import add_initializer

_GEMM_FACTORS = ("alpha", "beta")
_BROADCASTING = ("Add", "Div", "Mul", "Pow", "Sub")
_PAIRWISE = {"Max": "Max", "Mean": "Add", "Min": "Min", "Sum": "Add"}


def decompose(model: ir.Model) -> int:
    """Rewrite every such node; return their number."""
    graph = model.graph
    dropped = sum(_drop_expand(node) for node in graph if node.op_type in _BROADCASTING)
    nodes = [node for node in graph if node.domain in ("", "ai.onnx") and _applies(node)]
    for node in nodes:
        if node.op_type == "Gemm":
            _scale_gemm(graph, node)
        elif node.op_type == "Pad":
            _pad_all_axes(graph, node)
        else:
            _expand_variadic(graph, node)
    return dropped + len(nodes)


def _drop_expand(node: ir.Node) -> bool:
    """Reads what an Expand reads, where the node's own broadcasting does the same."""
    for index, value in enumerate(node.inputs):
        expand, other = value.producer() if value is not None else None, node.inputs[1 - index]
        if expand is None or expand.op_type != "Expand" or other is None or expand.inputs[0] is None:
            continue
        known = has_static_shape(other) and has_static_shape(node.outputs[0])
        if known and static_shape(other) == static_shape(node.outputs[0]):
            node.replace_input_with(index, expand.inputs[0])
            return True
    return False


def _applies(node: ir.Node) -> bool:
    if not all(has_static_shape(value) for value in (*node.inputs, *node.outputs) if value is not None):
        return False
    if node.op_type in ("Sum", "Mean"):
        return True
    if node.op_type in ("Max", "Min"):
        return len(node.inputs) > 2
    if node.op_type == "Pad":
        chosen = [value for value in (node.inputs[1], *node.inputs[3:4]) if value is not None]
        return len(chosen) == 2 and all(value.const_value is not None for value in chosen)
    if node.op_type == "Gemm":
        constant = all(value is None or value.const_value is not None for value in node.inputs[1:])
        return constant and any(_factor(node, name) != 1 for name in _GEMM_FACTORS)
    return False


def _factor(node: ir.Node, name: str) -> float:
    return node.attributes[name].as_float() if name in node.attributes else 1.0


def _scale_gemm(graph: ir.Graph, node: ir.Node) -> None:
    steps = _Steps(graph, node)
    for index, name in enumerate(_GEMM_FACTORS, 1):
        value = node.inputs[index] if len(node.inputs) > index else None
        factor = _factor(node, name)
        node.attributes.pop(name, None)
        if value is not None and value.const_value is not None and factor != 1:
            node.replace_input_with(index, steps.constant(value.const_value.numpy() * np.float32(factor)))


def _pad_all_axes(graph: ir.Graph, node: ir.Node) -> None:
    rank = len(static_shape(node.outputs[0]))
    pads, axes = (
        value.const_value.numpy() for value in (node.inputs[1], node.inputs[3]) if value and value.const_value
    )
    whole = np.zeros(2 * rank, np.int64)
    for index, axis in enumerate(axes):
        whole[[int(axis) % rank, int(axis) % rank + rank]] = pads[index], pads[index + len(axes)]
    node.replace_input_with(1, add_initializer(graph, f"{node.outputs[0].name}.pads", whole))
    node.resize_inputs(3)


def _expand_variadic(graph: ir.Graph, node: ir.Node) -> None:
    values = [value for value in node.inputs if value is not None]
    steps = _Steps(graph, node)
    result = values[0]
    for value in values[1:]:
        shape = np.broadcast_shapes(static_shape(result), static_shape(value))
        result = steps.add(_PAIRWISE[node.op_type], [result, value], shape)
    if node.op_type == "Mean":
        result = steps.add("Mul", [result, steps.constant(np.float32(1 / len(values)))], static_shape(result))
    elif len(values) == 1:
        result = steps.add("Identity", [result], static_shape(result))
    steps.replace(result)


class _Steps:
    """Nodes that take the place of one, all in front of it."""

    def __init__(self, graph: ir.Graph, node: ir.Node) -> None:
        self.graph, self.node, self.count = graph, node, 0

    def add(
        self, op: str, inputs: Sequence[ir.Value], shape: Sequence[int], attributes: Sequence[ir.Attr] = ()
    ) -> ir.Value:
        new = ir.node(op, inputs, name=self._name())
        for attribute in attributes:
            new.attributes.add(attribute)
        new.outputs[0].name = new.name
        new.outputs[0].type, new.outputs[0].shape = self.node.outputs[0].type, ir.Shape(shape)
        self.graph.insert_before(self.node, new)
        return new.outputs[0]

    def constant(self, array: npt.NDArray[np.float32] | np.float32) -> ir.Value:
        return add_initializer(self.graph, self._name(), np.asarray(array, np.float32))

    def replace(self, result: ir.Value) -> None:
        output = self.node.outputs[0]
        name = output.name
        output.replace_all_uses_with(result, replace_graph_outputs=True)
        self.graph.remove(self.node, safe=True)
        result.name = name

    def _name(self) -> str:
        self.count += 1
        return f"{self.node.outputs[0].name}.step{self.count}"

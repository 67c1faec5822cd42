"""The parts of a formula: which node makes a value, and which of its operands is a number."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from krypton_compile.passes.shapes import has_static_shape, static_shape


def made_by(value: ir.Value | None, *ops: str) -> ir.Node | None:
    """Find the node that makes the value, where it is one of these ops of ONNX's."""
    node = None if value is None else value.producer()
    return node if node is not None and node.domain in ("", "ai.onnx") and node.op_type in ops else None


def number(value: ir.Value | None) -> float | None:
    """Read a constant of one number."""
    tensor = None if value is None else value.const_value
    return float(tensor.numpy().reshape(())) if tensor is not None and tensor.size == 1 else None


def with_number(node: ir.Node | None) -> tuple[ir.Value, float] | None:
    """Split a sum or a product into what varies and a number; None where it is of other parts."""
    if node is None or len(node.inputs) != 2:
        return None
    a, b = node.inputs
    for value, other in ((a, b), (b, a)):
        factor = number(other)
        if factor is not None and value is not None and value.const_value is None:
            return value, factor
    return None


def power(value: ir.Value | None) -> tuple[ir.Value, float] | None:
    """Read a value as a power of another: Pow, Sqrt, or the product of a value with itself."""
    node = made_by(value, "Pow", "Sqrt", "Mul")
    if node is None or node.inputs[0] is None:
        return None
    if node.op_type == "Sqrt":
        return node.inputs[0], 0.5
    if node.op_type == "Mul":
        return (node.inputs[0], 2.0) if node.inputs[0] is node.inputs[1] else None
    exponent = number(node.inputs[1])
    return None if exponent is None else (node.inputs[0], exponent)


def shape_of(value: ir.Value | None) -> tuple[int, ...]:
    """The static shape; empty where it is not known."""
    return static_shape(value) if value is not None and has_static_shape(value) else ()


def insert(
    graph: ir.Graph, node: ir.Node, op: str, inputs: Sequence[ir.Value | None], attributes: dict[str, object]
) -> ir.Value:
    """Add a node in front of another, whose shape and type its output takes."""
    output = node.outputs[0]
    taken = {each.name for each in graph}
    name, count = f"{output.name}.{op.lower()}", 1
    while name in taken:
        count += 1
        name = f"{output.name}.{op.lower()}{count}"
    new = ir.node(op, inputs, attributes, name=name)  # type: ignore[arg-type]
    new.outputs[0].name, new.outputs[0].type, new.outputs[0].shape = new.name, output.type, output.shape
    graph.insert_before(node, new)
    return new.outputs[0]


def take_over(graph: ir.Graph, node: ir.Node, result: ir.Value) -> None:
    """Let a value take the place and the name of the node's output."""
    output, name = node.outputs[0], node.outputs[0].name
    output.replace_all_uses_with(result, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    result.name = name

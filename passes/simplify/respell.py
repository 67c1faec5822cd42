"""Respell ops that have no rule of their own, where they mean the same as ones that have.

    Sum(A, B, C)             ->    Add(Add(A, B), C)
    Max(X, k), Min(X, k)     ->    Clip(X, k, ), Clip(X, , k)      k a number
    Max(X, k X)              ->    LeakyRelu<alpha = k>(X)         0 <= k <= 1
    Reshape([H W, C]) - MatMul - Reshape([1, H, W, M])    ->    MatMul of the NHWC map

TensorFlow and Keras, Caffe2 and old PyTorch spell them so.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.shapes import has_static_shape, static_shape
from krypton_compile.passes.simplify.initializers import add_initializer


def respell(model: ir.Model) -> int:
    """Respell every such node; return their number."""
    graph = model.graph
    return sum(_respell(graph, node) for node in graph if node.domain in ("", "ai.onnx"))


def _respell(graph: ir.Graph, node: ir.Node) -> bool:
    if node.op_type == "Sum":
        return _sum(graph, node)
    if node.op_type in ("Max", "Min"):
        return _leaky(graph, node) or _clip(graph, node)
    return node.op_type == "MatMul" and _pixels(graph, node)


def _sum(graph: ir.Graph, node: ir.Node) -> bool:
    total = node.inputs[0]
    for index, value in enumerate(node.inputs[1:], 1):
        add = ir.node("Add", [total, value], name=f"{node.name}.{index}")
        add.outputs[0].name = f"{node.outputs[0].name}.{index}"
        add.outputs[0].type = node.outputs[0].type
        graph.insert_before(node, add)
        total = add.outputs[0]
    _take_over(graph, node, ir.node("Identity", [total], name=node.name))
    return True


def _clip(graph: ir.Graph, node: ir.Node) -> bool:
    constants = [value for value in node.inputs if value is not None and value.const_value is not None]
    others = [value for value in node.inputs if value not in constants]
    if len(others) != 1 or len(constants) != 1:
        return False
    tensor = constants[0].const_value
    if tensor is None or tensor.size != 1 or tensor.dtype != ir.DataType.FLOAT or len(tensor.shape) > 1:
        return False
    bound = add_initializer(graph, f"{node.outputs[0].name}.bound", tensor.numpy().reshape(()))
    bounds = [bound] if node.op_type == "Max" else [None, bound]
    _take_over(graph, node, ir.node("Clip", [others[0], *bounds], name=node.name))
    return True


def _leaky(graph: ir.Graph, node: ir.Node) -> bool:
    if node.op_type != "Max" or len(node.inputs) != 2:
        return False
    for x, scaled in (node.inputs, node.inputs[::-1]):
        mul = scaled.producer() if scaled is not None else None
        if mul is None or mul.op_type != "Mul" or x not in mul.inputs:
            continue
        factor = mul.inputs[1 if mul.inputs[0] is x else 0]
        slope = None if factor is None or factor.const_value is None else factor.const_value.numpy()
        if slope is not None and slope.size == 1 and slope.ndim <= 1 and 0 <= slope.reshape(()) <= 1:
            attributes = {"alpha": float(slope.reshape(()))}
            _take_over(graph, node, ir.node("LeakyRelu", [x], attributes, name=node.name))
            return True
    return False


def _pixels(graph: ir.Graph, node: ir.Node) -> bool:
    """A product of all pixels as rows of a matrix; an Add of a constant may stand before the Reshape back."""
    before = node.inputs[0].producer() if node.inputs[0] is not None else None
    if before is None or before.op_type != "Reshape":
        return False
    last, nodes = node, [node]
    while len(last.outputs[0].uses()) == 1 and not last.outputs[0].is_graph_output():
        last = next(iter(last.outputs[0].consumers()))
        nodes.append(last)
        if last.op_type != "Add":
            break
    source = before.inputs[0]
    values = [source, node.inputs[0], *(each.outputs[0] for each in nodes)]
    if last.op_type != "Reshape" or not all(value is not None and has_static_shape(value) for value in values):
        return False
    assert source is not None
    whole, rows, end = static_shape(source), static_shape(before.outputs[0]), static_shape(last.outputs[0])
    if len(whole) != 4 or rows != (int(np.prod(whole[:3])), whole[3]) or end[:3] != whole[:3] or len(end) != 4:
        return False
    for each in nodes[1:-1]:  # what is added must be one number a channel
        added = [value for value in each.inputs if value is not None and value.const_value is not None]
        if len(added) != 1 or len(static_shape(added[0])) > 1:
            return False
    node.replace_input_with(0, source)
    for each in nodes[:-1]:
        each.outputs[0].shape = ir.Shape((*whole[:3], static_shape(each.outputs[0])[-1]))
    _take_over(graph, last, ir.node("Identity", [nodes[-2].outputs[0]], name=last.name))
    return True


def _take_over(graph: ir.Graph, node: ir.Node, new: ir.Node) -> None:
    output, name = node.outputs[0], node.outputs[0].name
    new.outputs[0].type, new.outputs[0].shape = output.type, output.shape
    graph.insert_before(node, new)
    output.replace_all_uses_with(new.outputs[0], replace_graph_outputs=True)
    graph.remove(node, safe=True)
    new.outputs[0].name = name

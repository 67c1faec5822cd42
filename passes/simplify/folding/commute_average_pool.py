"""Commute average pools with 1x1 convolutions: both are linear, so either may come first, and one order is cheaper.

    Conv1x1(AveragePool(X))    ->    AveragePool(Conv1x1(X))      strides of 1, no more channels than before
    AveragePool(Conv1x1(X))    ->    Conv1x1(AveragePool(X))      strides of 2 and more

A mean over a window has far fewer zeros than what it is taken of, which follows a Relu; so where pixels stay as many, a
convolution costs less in front of it, and the pool moves fewer channels. Where pixels become fewer, it costs less
behind it. The pool branches of Inception are of the first kind, the transitions of DenseNet of the second.

The mean of a constant is that constant but where padding counts as zeros. There the bias stays behind the pool, as an
Add of its own.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from krypton_compile.passes.shapes import static_shape
from krypton_compile.passes.simplify.folding.trade_places import (
    describe,
    has_one_reader,
    is_pointwise,
    put_mean_first,
    replace_pair,
)


def commute_average_pool(model: ir.Model) -> int:
    """Rewrite every such pair; return their number."""
    graph, count = model.graph, 0
    for node in graph:
        before = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
        if before is None or not has_one_reader(before.outputs[0], graph):
            continue
        if _is_pool(before) and is_pointwise(node) and _stride(before) == 1 and _narrows(node):
            count += _put_conv_first(graph, before, node)
        elif is_pointwise(before) and _is_pool(node) and _stride(node) > 1 and not _scales_bias(before, node):
            put_mean_first(graph, before, node, f"{node.outputs[0].name}.pooled")
            count += 1
    return count


def _put_conv_first(graph: ir.Graph, pool: ir.Node, conv: ir.Node) -> int:
    x, output = pool.inputs[0], conv.outputs[0]
    assert x is not None
    bias = conv.inputs[2] if _scales_bias(conv, pool) else None
    if bias is not None and bias.const_value is None:
        return 0
    kept = conv.inputs[1 : 2 if bias is not None else None]
    first = ir.node("Conv", [x, *kept], conv.attributes, name=conv.name)
    second = ir.node("AveragePool", [first.outputs[0]], pool.attributes, name=pool.name)
    describe(first.outputs[0], f"{output.name}.unpooled", output, (static_shape(output)[1], *static_shape(x)[2:]))
    nodes = [first, second]
    if bias is not None and bias.const_value is not None:
        columns = bias.const_value.numpy().reshape(1, -1, *(1,) * (len(static_shape(x)) - 2))
        name = f"{output.name}.bias_behind_pool"
        held = ir.Value(name=name, const_value=ir.tensor(columns, name=name))
        describe(held, name, output, columns.shape[1:])
        graph.register_initializer(held)
        describe(second.outputs[0], f"{output.name}.unbiased", output, static_shape(output)[1:])
        nodes.append(ir.node("Add", [second.outputs[0], held], name=f"{conv.name}/bias"))
    replace_pair(graph, [pool, conv], nodes)
    return 1


def _is_pool(node: ir.Node) -> bool:
    """An AveragePool whose windows hold as many numbers everywhere, or as many as there are pixels."""
    plain = node.domain in ("", "ai.onnx") and node.op_type == "AveragePool"
    counted = node.attributes.get_string("auto_pad", "NOTSET") in ("NOTSET", "VALID")
    return plain and counted and not node.attributes.get_int("ceil_mode", 0)


def _narrows(conv: ir.Node) -> bool:
    x, output = conv.inputs[0], conv.outputs[0]
    assert x is not None
    return output.shape is not None and static_shape(output)[1] <= static_shape(x)[1]


def _scales_bias(conv: ir.Node, pool: ir.Node) -> bool:
    """Whether the mean of the bias is not the bias: where zeros of the padding are among what is averaged."""
    zeros = pool.attributes.get_int("count_include_pad", 0) and any(pool.attributes.get_ints("pads", ()))
    return len(conv.inputs) > 2 and conv.inputs[2] is not None and bool(zeros)


def _stride(pool: ir.Node) -> int:
    return math.prod(pool.attributes.get_ints("strides", (1,)))

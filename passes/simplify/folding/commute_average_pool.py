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


def commute_average_pool(model: ir.Model) -> int:
    """Rewrite every such pair; return their number."""
    graph, count = model.graph, 0
    for node in graph:
        before = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
        if before is None or not _alone(before.outputs[0], graph):
            continue
        if _is_pool(before) and _is_conv1x1(node) and _stride(before) == 1 and _narrows(node):
            count += _conv_first(graph, before, node)
        elif _is_conv1x1(before) and _is_pool(node) and _stride(node) > 1 and not _scales_bias(before, node):
            count += _pool_first(graph, before, node)
    return count


def _conv_first(graph: ir.Graph, pool: ir.Node, conv: ir.Node) -> int:
    x, output, weight = pool.inputs[0], conv.outputs[0], conv.inputs[1]
    assert x is not None and weight is not None
    bias = conv.inputs[2] if len(conv.inputs) > 2 else None
    apart = bias is not None and _scales_bias(conv, pool)
    if apart and (bias is None or bias.const_value is None):
        return 0
    first = ir.node("Conv", [x, *conv.inputs[1 : 2 if apart else None]], conv.attributes, name=conv.name)
    second = ir.node("AveragePool", [first.outputs[0]], pool.attributes, name=pool.name)
    _describe(first.outputs[0], f"{output.name}.unpooled", output, (static_shape(output)[1], *static_shape(x)[2:]))
    nodes = [first, second]
    if apart:
        assert bias is not None and bias.const_value is not None
        columns = bias.const_value.numpy().reshape(1, -1, *(1,) * (len(static_shape(x)) - 2))
        name = f"{output.name}.bias_behind_pool"
        held = ir.Value(name=name, const_value=ir.tensor(columns, name=name))
        _describe(held, name, output, columns.shape[1:])
        graph.register_initializer(held)
        _describe(second.outputs[0], f"{output.name}.unbiased", output, static_shape(output)[1:])
        nodes.append(ir.node("Add", [second.outputs[0], held], name=f"{conv.name}/bias"))
    _replace(graph, [pool, conv], nodes)
    return 1


def _pool_first(graph: ir.Graph, conv: ir.Node, pool: ir.Node) -> int:
    x, output = conv.inputs[0], pool.outputs[0]
    assert x is not None
    first = ir.node("AveragePool", [x], pool.attributes, name=pool.name)
    second = ir.node("Conv", [first.outputs[0], *conv.inputs[1:]], conv.attributes, name=conv.name)
    _describe(first.outputs[0], f"{output.name}.pooled", output, (static_shape(x)[1], *static_shape(output)[2:]))
    _replace(graph, [conv, pool], [first, second])
    return 1


def _replace(graph: ir.Graph, old: list[ir.Node], new: list[ir.Node]) -> None:
    """Put new nodes in the place of the last of the old ones, which then go; the output keeps its name."""
    output, made = old[-1].outputs[0], new[-1].outputs[0]
    made.type, made.shape, name = output.type, output.shape, output.name
    graph.insert_before(old[-1], new)
    output.replace_all_uses_with(made, replace_graph_outputs=True)
    graph.remove(list(reversed(old)), safe=True)
    made.name = name


def _describe(value: ir.Value, name: str | None, like: ir.Value, shape: tuple[int, ...]) -> None:
    value.name, value.type, value.shape = name, like.type, ir.Shape((1, *shape))


def _alone(value: ir.Value, graph: ir.Graph) -> bool:
    return len(value.uses()) == 1 and value not in graph.outputs and value.shape is not None


def _is_pool(node: ir.Node) -> bool:
    """An AveragePool whose windows hold as many numbers everywhere, or as many as there are pixels."""
    plain = node.domain in ("", "ai.onnx") and node.op_type == "AveragePool"
    ceil = "ceil_mode" in node.attributes and node.attributes["ceil_mode"].as_int() != 0
    return plain and not ceil and _text(node, "auto_pad") in ("", "NOTSET", "VALID")


def _is_conv1x1(node: ir.Node) -> bool:
    if node.domain not in ("", "ai.onnx") or node.op_type != "Conv" or node.inputs[1] is None:
        return False
    alone = set(static_shape(node.inputs[1])[2:]) == {1}
    return alone and set(_numbers(node, "strides", 1)) == {1} and set(_numbers(node, "pads", 0)) == {0}


def _narrows(conv: ir.Node) -> bool:
    x, output = conv.inputs[0], conv.outputs[0]
    assert x is not None
    return output.shape is not None and static_shape(output)[1] <= static_shape(x)[1]


def _scales_bias(conv: ir.Node, pool: ir.Node) -> bool:
    """Whether the mean of the bias is not the bias: where zeros of the padding are among what is averaged."""
    counted = "count_include_pad" in pool.attributes and pool.attributes["count_include_pad"].as_int() != 0
    return len(conv.inputs) > 2 and conv.inputs[2] is not None and counted and any(_numbers(pool, "pads", 0))


def _stride(pool: ir.Node) -> int:
    return math.prod(_numbers(pool, "strides", 1))


def _numbers(node: ir.Node, name: str, default: int) -> tuple[int, ...]:
    return tuple(node.attributes[name].as_ints()) if name in node.attributes else (default,)


def _text(node: ir.Node, name: str) -> str:
    return node.attributes[name].as_string() if name in node.attributes else ""

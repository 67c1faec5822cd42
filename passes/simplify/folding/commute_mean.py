"""Commute the mean: a mean over the whole map trades places with the 1x1 convolution before it.

    GlobalAveragePool(Conv1x1(X))    ->    Conv1x1(GlobalAveragePool(X))

Both are linear, and the convolution treats all pixels alike, so the result is the same but for rounding; and instead
of a convolution of every pixel of a delta, one row a position is multiplied. SqueezeNet's classifier is such a pair.
"""

from __future__ import annotations

import onnx_ir as ir

from krypton_compile.passes.shapes import static_shape


def commute_mean(model: ir.Model) -> int:
    """Rewrite every such pair; return their number."""
    graph = model.graph
    pairs = [(conv, node) for node in graph if (conv := _convolution_before(node, graph)) is not None]
    for conv, mean in pairs:
        _swap(graph, conv, mean)
    return len(pairs)


def _convolution_before(node: ir.Node, graph: ir.Graph) -> ir.Node | None:
    """The 1x1 convolution that only this GlobalAveragePool reads."""
    between = node.inputs[0] if node.op_type == "GlobalAveragePool" else None
    conv = between.producer() if between is not None else None
    if between is None or conv is None or conv.op_type != "Conv" or conv.domain not in ("", "ai.onnx"):
        return None
    if between in graph.outputs or len(between.uses()) != 1:
        return None
    weight, attributes = conv.inputs[1], conv.attributes
    assert weight is not None
    alone = set(static_shape(weight)[2:]) == {1}
    moved = "strides" in attributes and set(attributes["strides"].as_ints()) != {1}
    padded = "pads" in attributes and set(attributes["pads"].as_ints()) != {0}
    return conv if alone and not moved and not padded else None


def _swap(graph: ir.Graph, conv: ir.Node, mean: ir.Node) -> None:
    between, output, x = conv.outputs[0], mean.outputs[0], conv.inputs[0]
    assert x is not None and between.shape is not None and output.shape is not None
    # The nodes stay where they are in the graph and trade kinds of work: mean first, its output between them.
    first = ir.node("GlobalAveragePool", [x], name=mean.name)
    second = ir.node("Conv", [first.outputs[0], *conv.inputs[1:]], conv.attributes, name=conv.name)
    first.outputs[0].name = f"{x.name}.mean"
    first.outputs[0].type = between.type
    first.outputs[0].shape = ir.Shape((*static_shape(x)[:2], *(1,) * (len(static_shape(x)) - 2)))
    second.outputs[0].type, second.outputs[0].shape = output.type, output.shape
    name = output.name
    graph.insert_before(mean, [first, second])
    output.replace_all_uses_with(second.outputs[0], replace_graph_outputs=True)
    graph.remove([mean, conv], safe=True)
    second.outputs[0].name = name

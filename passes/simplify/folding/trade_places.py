"""A mean over pixels and a 1x1 convolution trade places: what commute_mean and commute_average_pool share."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from krypton_compile.passes.shapes import static_shape


def is_pointwise(node: ir.Node) -> bool:
    """Whether this is a convolution that treats each pixel alone and leaves none out."""
    if node.domain not in ("", "ai.onnx") or node.op_type != "Conv" or node.inputs[1] is None:
        return False
    alone = set(static_shape(node.inputs[1])[2:]) == {1}
    return (
        alone
        and set(node.attributes.get_ints("strides", (1,))) == {1}
        and not any(node.attributes.get_ints("pads", ()))
    )


def has_one_reader(value: ir.Value, graph: ir.Graph) -> bool:
    """Whether one node alone reads this value, whose shape is known."""
    return len(value.uses()) == 1 and value not in graph.outputs and value.shape is not None


def put_mean_first(graph: ir.Graph, conv: ir.Node, mean: ir.Node, name: str) -> None:
    """Rewrite mean(conv(x)) as conv(mean(x)); ``name`` is that of mean(x)."""
    x, output = conv.inputs[0], mean.outputs[0]
    assert x is not None
    first = ir.node(mean.op_type, [x], mean.attributes, name=mean.name)
    second = ir.node("Conv", [first.outputs[0], *conv.inputs[1:]], conv.attributes, name=conv.name)
    describe(first.outputs[0], name, output, (static_shape(x)[1], *static_shape(output)[2:]))
    replace_pair(graph, [conv, mean], [first, second])


def replace_pair(graph: ir.Graph, old: Sequence[ir.Node], new: Sequence[ir.Node]) -> None:
    """Put new nodes in the place of the last of the old ones, which then go; the output keeps its name."""
    output, made = old[-1].outputs[0], new[-1].outputs[0]
    made.type, made.shape, name = output.type, output.shape, output.name
    graph.insert_before(old[-1], new)
    output.replace_all_uses_with(made, replace_graph_outputs=True)
    graph.remove(list(reversed(old)), safe=True)
    made.name = name


def describe(value: ir.Value, name: str, like: ir.Value, shape: tuple[int, ...]) -> None:
    """Name a value of one image and give it a type and a ``shape`` [C, ...]."""
    value.name, value.type, value.shape = name, like.type, ir.Shape((1, *shape))

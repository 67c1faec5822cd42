"""Commute the mean: a mean over the whole map trades places with the 1x1 convolution before it.

    GlobalAveragePool(Conv1x1(X))    ->    Conv1x1(GlobalAveragePool(X))

Both are linear, and the convolution treats all pixels alike, so the result is the same but for rounding; and instead
of a convolution of every pixel of a delta, one row a position is multiplied. SqueezeNet's classifier is such a pair.
"""

from __future__ import annotations

import onnx_ir as ir

from krypton_compile.passes.simplify.folding.trade_places import has_one_reader, is_pointwise, put_mean_first


def commute_mean(model: ir.Model) -> int:
    """Rewrite every such pair; return their number."""
    graph = model.graph
    pairs = [(conv, node) for node in graph if (conv := _convolution_before(node, graph)) is not None]
    for conv, mean in pairs:
        x = conv.inputs[0]
        assert x is not None
        put_mean_first(graph, conv, mean, f"{x.name}.mean")
    return len(pairs)


def _convolution_before(node: ir.Node, graph: ir.Graph) -> ir.Node | None:
    """The 1x1 convolution that only this GlobalAveragePool reads."""
    between = node.inputs[0] if node.op_type == "GlobalAveragePool" else None
    conv = between.producer() if between is not None else None
    if between is None or conv is None or not has_one_reader(between, graph):
        return None
    return conv if is_pointwise(conv) else None

"""Lower the rest: from a node on whose outputs no form fits, all that follows runs once a position.

Such nodes are of quantized networks, whose values are rounded after every layer (a delta of less than
half a step vanishes, one of more jumps), and those whose outputs are no tensors of fixed shape
(sequences, NonZero).

    T' = T0 + D of all that the rest reads    ->    scores = Scan(T', the rest)

The body is the model's own, so onnxruntime fuses and rounds in it as it does in the original.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.dense import densify
from krypton_compile.passes.lower.dense_per_position import once_a_position, reads
from krypton_compile.passes.quantized import is_quantizing
from krypton_compile.passes.shapes import has_static_shape

QUANTIZED = "quantized: its values are rounded after every layer, so small deltas vanish or jump"


def needs_the_rest(node: ir.Node) -> str | None:
    """Why what follows cannot be node by node, or None."""
    if is_quantizing(node):
        return QUANTIZED
    for value in node.outputs:
        if value.name and not (isinstance(value.type, ir.TensorType) and has_static_shape(value)):
            return f"the size of its output '{value.name}' depends on the image, or it is no tensor"
    return None


def lower_rest(nodes: Sequence[ir.Node], wanted: Sequence[ir.Value], context: LoweringContext) -> list[ir.Node]:
    """Emit the Scan, with outputs ``wanted``, for the nodes that depend on the image; return these."""
    rest: list[ir.Node] = []
    changing = set(context.forms)
    for node in nodes:
        if any(value in changing for value in reads(node)):
            rest.append(node)
            changing.update(node.outputs)
    dense = {value: densify(value, context) for node in rest for value in reads(node) if value in context.forms}
    made = {value for node in rest for value in node.outputs}
    weights = [node for node in context.emitter.graph if node.op_type == "DequantizeLinear" and made_for(node, rest)]
    once_a_position([*weights, *rest], [value for value in wanted if value in made], dense, context)
    return rest


def made_for(node: ir.Node, readers: Sequence[ir.Node]) -> bool:
    """Whether a reader takes the node's output: onnxruntime fuses a dequantized weight with its op."""
    return node not in readers and any(use.node in readers for use in node.outputs[0].uses())

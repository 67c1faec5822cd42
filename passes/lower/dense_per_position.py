"""Once a position: nodes of the base graph, as they are, in a Scan over the positions of a chunk.

    T' = Densify(...) of all that they read    ->    Y' = Scan(T', the nodes for a batch of 1)

The body is a copy of the nodes, subgraphs included, so it works for any op: of several outputs, of
any type inside. Only what the Scan hands out must be tensors of known shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.forms import Dense
from krypton_compile.passes.shapes import static_shape


def once_a_position(
    nodes: Sequence[ir.Node], outputs: Sequence[ir.Value], dense: Mapping[ir.Value, Dense], context: LoweringContext
) -> None:
    """Emit the Scan and record the form of each output; ``dense`` has T' of what the nodes read."""
    outputs = [value for value in outputs if value.name]
    made = {value for node in nodes for value in node.outputs}
    outside = list(dict.fromkeys(value for node in nodes for value in reads(node) if value not in made))
    body = ir.GraphView(outside, outputs, nodes=nodes, name=f"{nodes[0].name}.once_a_position").clone()
    stand_ins = dict(zip(outside, list(body.inputs), strict=True))
    body.inputs.clear()
    for node in body:
        node.name = f"{node.name}.position"
        for value in node.outputs:
            value.name = value.name and f"{value.name}.position"
    batched = []
    for value, stand_in in stand_ins.items():
        if value not in dense:
            stand_in.replace_all_uses_with(value)
            continue
        shape = static_shape(value)
        kept = dense[value].stacked
        piece = ir.Value(name=f"{value.name}.position", type=value.type, shape=ir.Shape(shape if kept else shape[1:]))
        body.inputs.append(piece)
        if not kept:
            axis = context.emitter.initializer(f"{value.name}.batch_axis", np.array([0], np.int64))
            batched.append(ir.node("Unsqueeze", [piece, axis], name=f"{value.name}.position.batched"))
            batched[-1].outputs[0].name = batched[-1].name
        stand_in.replace_all_uses_with(batched[-1].outputs[0] if not kept else piece)
    body.insert_before(body[0], batched)
    names = [f"{value.name}.stacked" for value in outputs]
    sources = [dense[value].value for value in stand_ins if value in dense]
    scan = context.emitter.emit_node("Scan", sources, {"num_scan_inputs": len(sources)}, *names, domain="")
    scan.attributes.add(ir.AttrGraph("body", body))
    for value, output in zip(outputs, scan.outputs, strict=True):
        context.forms[value] = _unstack(value, output, context)


def reads(node: ir.Node) -> list[ir.Value]:
    """The values that a node depends on: its inputs, and what its subgraphs take from outside."""
    inner = subgraphs(node)
    values = [*node.inputs, *(value for graph in inner for each in graph for value in each.inputs)]
    values += [value for graph in inner for value in graph.outputs]
    return list(dict.fromkeys(value for value in values if value is not None and value.graph not in inner))


def subgraphs(node: ir.Node) -> list[ir.Graph]:
    """The graphs in a node's attributes, and those in their nodes."""
    own: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            own.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            own.extend(attribute.as_graphs())
    return own + [graph for each in own for inner in each for graph in subgraphs(inner)]


def _unstack(value: ir.Value, stacked: ir.Value, context: LoweringContext) -> Dense:
    shape = static_shape(value)
    if not shape or shape[0] != 1:
        return Dense(stacked, stacked=True)
    axis = context.emitter.initializer(f"{value.name}.stack_axis", np.array([1], np.int64))
    return Dense(context.emitter.emit("Squeeze", [stacked, axis], {}, f"{value.name}.occluded", domain=""))

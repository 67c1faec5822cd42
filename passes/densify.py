"""Dense nodes: an op without an incremental rule runs as it is, on T' = T0 + D of a chunk's positions.

    Y = Op(X)    ->    X' = Densify(DX, boxes, X0);  Y' = Op(X')           where Op treats its batch
                                                                           axis as a batch
                 ->    Y' = Scan(X', lambda x: Op(x))                      everywhere else: once a
                                                                           position, batch 1

Both are exact; the second is what makes *every* op usable.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from krypton_compile.errors import NodeError
from krypton_compile.interface import static_shape
from krypton_compile.passes.batch_axis import batched_inputs
from krypton_compile.passes.lowering import Delta, Dense, Flat, LoweringContext


def lower_dense(node: ir.Node, context: LoweringContext) -> None:
    """Emits the node for whole maps and records the form of each of its outputs.

    Raises:
        NodeError: a node with a subgraph, which cannot be repeated for each position.
    """
    if any(attr.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for attr in node.attributes.values()):
        raise NodeError(
            str(node.name), node.op_type, "an op without subgraphs after the image", "control flow",
            "Export the model for a fixed input size so that the exporter can unroll it.",
        )  # fmt: skip
    dense = {value: densify(value, context) for value in node.inputs if value is not None and value in context.forms}
    inputs = None
    if not any(form.stacked for form in dense.values()):
        inputs = batched_inputs(node, {value: form.value for value, form in dense.items()}, context)
    if inputs is None:
        _once_a_position(node, dense, context)
        return
    names = [f"{value.name}.occluded" for value in node.outputs]
    context.emit(node.op_type, inputs, {}, *names, domain=node.domain)
    emitted = context.body[-1]
    for attribute in node.attributes.values():
        emitted.attributes.add(attribute)
    for value, output in zip(node.outputs, emitted.outputs, strict=True):
        context.forms[value] = Dense(output)


def densify(value: ir.Value, context: LoweringContext) -> Dense:
    """T' of a value in whatever form it has; made once, and the form stays for consumers that have a rule."""
    form = context.forms[value]
    if isinstance(form, Dense):
        return form
    if value not in context.densified:
        context.densified[value] = _densify(value, form, context)
    return context.densified[value]


def _densify(value: ir.Value, form: Delta | Flat, context: LoweringContext) -> Dense:
    name = str(value.name)
    x, source = (form, value) if isinstance(form, Delta) else (form.delta, form.base)
    inputs = [x.values, x.boxes, context.base_map(source, x.layout)]
    full = context.emit("Densify", inputs, {"layout": x.layout}, f"{name}.occluded")
    if isinstance(form, Flat):
        shape = context.initializer(f"{name}.flat_shape", np.array([-1, static_shape(value)[1]], np.int64))
        full = context.emit("Reshape", [full, shape], {}, f"{name}.occluded.flat", domain="")
    return Dense(full)


def _once_a_position(node: ir.Node, dense: dict[ir.Value, Dense], context: LoweringContext) -> None:
    slices, nodes, replacement = [], [], {}
    for value, form in dense.items():
        shape = static_shape(value)
        rest = shape if form.stacked else shape[1:]
        piece = ir.Value(name=f"{value.name}.position", type=value.type, shape=ir.Shape(rest))
        slices.append(piece)
        if form.stacked:
            replacement[value] = piece
            continue
        axis = context.initializer(f"{value.name}.batch_axis", np.array([0], np.int64))
        unsqueeze = ir.node("Unsqueeze", [piece, axis], name=f"{value.name}.position.batched")
        unsqueeze.outputs[0].name = f"{value.name}.position.batched"
        nodes.append(unsqueeze)
        replacement[value] = unsqueeze.outputs[0]
    inputs = [replacement.get(value, value) if value is not None else None for value in node.inputs]
    copies = [ir.Value(name=f"{value.name}.position", type=value.type, shape=value.shape) for value in node.outputs]
    inner = ir.node(node.op_type, inputs, {}, domain=node.domain, outputs=copies, name=f"{node.name}.position")
    for attribute in node.attributes.values():
        inner.attributes.add(attribute)
    body = ir.Graph(slices, copies, nodes=[*nodes, inner], name=f"{node.name}.once_a_position")
    names = [f"{value.name}.stacked" for value in node.outputs]
    context.emit("Scan", [form.value for form in dense.values()], {"num_scan_inputs": len(slices)}, *names, domain="")
    scan = context.body[-1]
    scan.attributes.add(ir.AttrGraph("body", body))
    for value, output in zip(node.outputs, scan.outputs, strict=True):
        context.forms[value] = _unstack(value, output, context)


def _unstack(value: ir.Value, stacked: ir.Value, context: LoweringContext) -> Dense:
    shape = static_shape(value)
    if not shape or shape[0] != 1:
        return Dense(stacked, stacked=True)
    axis = context.initializer(f"{value.name}.stack_axis", np.array([1], np.int64))
    return Dense(context.emit("Squeeze", [stacked, axis], {}, f"{value.name}.occluded", domain=""))

"""Dense nodes: an op that no rule holds for runs as it is, on T' = T0 + D of a chunk's positions.

    Y = Op(X)    ->    X' = Densify(DX, boxes, X0);  Y' = Op(X')           where Op treats its batch
                                                                           axis as a batch
                 ->    Y' = Scan(X', lambda x: Op(x))                      everywhere else: once a
                                                                           position, batch 1

Both are exact; the second is what makes *every* op usable.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.dense_batch_axis import batched_inputs
from krypton_compile.passes.lower.dense_per_position import once_a_position, reads, subgraphs
from krypton_compile.passes.lower.forms import Delta, Dense, Flat, Ragged, Rows
from krypton_compile.passes.lower.values.pixel_local import known_rows, rows_of
from krypton_compile.passes.shapes import static_shape


def lower_dense(node: ir.Node, context: LoweringContext) -> None:
    """Emit the node for whole maps, and record the form of each of its outputs."""
    dense = {value: densify(value, context) for value in reads(node) if value in context.forms}
    inputs = None
    if not any(form.stacked for form in dense.values()) and not subgraphs(node):
        inputs = batched_inputs(node, {value: form.value for value, form in dense.items()}, context)
    if inputs is None:
        once_a_position([node], node.outputs, dense, context)
        return
    names = [f"{value.name}.occluded" for value in node.outputs]
    emitted = context.emitter.emit_node(node.op_type, inputs, {}, *names, domain=node.domain)
    for attribute in node.attributes.values():
        emitted.attributes.add(attribute)
    for value, output in zip(node.outputs, emitted.outputs, strict=True):
        context.forms[value] = Dense(output)


def densify(value: ir.Value, context: LoweringContext) -> Dense:
    """Make T' of a value in whatever form, once; the form stays, for consumers that have a rule."""
    form = context.forms[value]
    if isinstance(form, Dense):
        return form
    producer = value.producer()
    if producer is not None and value.dtype not in (None, ir.DataType.FLOAT):
        lower_dense(producer, context)  # rows of truths or indices: there is no map of floats to put them on
        return densify(value, context)
    densified = context.forms.densified
    if value not in densified:
        densified[value] = _densify(value, form, context)
    return densified[value]


def _densify(value: ir.Value, form: Delta | Rows | Flat, context: LoweringContext) -> Dense:
    emitter, name = context.emitter, str(value.name)
    x: Ragged
    x, source = (form.delta, form.base) if isinstance(form, Flat) else (form, value)
    attributes = {"layout": x.layout}
    exactly = value in context.conditioning.behind or source in context.conditioning.behind
    if isinstance(form, Rows) or known_rows(source, context) is not None or (exactly and context.baseline is not None):
        x = known_rows(source, context) or rows_of(source, x.live, context, exactly)
        attributes["of"] = "values"
    values, kind = x.values, source.dtype
    if kind not in (None, ir.DataType.FLOAT):  # Densify knows floats alone, and they hold a pixel's integers
        values = emitter.emit("Cast", [values], {"to": ir.DataType.FLOAT}, f"{name}.rows.float", domain="")
        current = emitter.current(source)
        source = emitter.emit_base("Cast", [current], {"to": ir.DataType.FLOAT}, f"{name}.float", domain="")
        source.type, source.shape = ir.TensorType(ir.DataType.FLOAT), current.shape
    inputs = [values, x.boxes, emitter.base_map(source, x.layout)]
    full = emitter.emit("Densify", inputs, attributes, f"{name}.occluded")
    if kind not in (None, ir.DataType.FLOAT):
        full = emitter.emit("Cast", [full], {"to": kind}, f"{name}.occluded.cast", domain="")
    if isinstance(form, Flat):
        shape = emitter.initializer(f"{name}.flat_shape", np.array([-1, static_shape(value)[1]], np.int64))
        full = emitter.emit("Reshape", [full, shape], {}, f"{name}.occluded.flat", domain="")
    return Dense(full)

"""Concat over channels: each input zero outside its own box, boxes united.

Y = Concat(A, B, axis = channels)    ->    DY = IncrementalConcat(hull, [a_boxes, b_boxes], DA, DB)
"""

from __future__ import annotations

import onnx_ir as ir

from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.forms import Delta, Form, make_delta
from krypton_compile.passes.lower.refused import Refused


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    forms = [context.forms.get(value) if value is not None else None for value in node.inputs]
    deltas = [form for form in forms if isinstance(form, Delta)]
    if len(deltas) != len(forms):
        raise Refused("not all of its inputs are spatial deltas: some are constant, flattened or dense")
    if len({(delta.layout, delta.spatial) for delta in deltas}) > 1:
        raise Refused("its inputs differ in layout or map size")
    if context.axis(node, deltas[0]) != deltas[0].channel_axis:
        raise Refused("it does not concatenate channels")
    emitter, name = context.emitter, str(node.outputs[0].name)
    boxes = emitter.emit("UnionBoxes", [delta.live for delta in deltas], {}, f"{name}.boxes")
    parts = emitter.emit("StackBoxes", [delta.boxes for delta in deltas], {}, f"{name}.parts")
    values = emitter.emit("IncrementalConcat", [boxes, parts, *(delta.values for delta in deltas)], {}, f"{name}.delta")
    return make_delta(node, values, boxes, deltas[0].layout)

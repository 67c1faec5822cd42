"""Concat over channels: each input zero outside its own box, boxes united.

Y = Concat(A, B, axis = channels)    ->    DY = IncrementalConcat(hull, [a_boxes, b_boxes], DA, DB)
"""

from __future__ import annotations

import onnx_ir as ir

from krypton_compile.passes.lower.context import Delta, Form, LoweringContext, make_delta


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this Concat cannot be incremental, or None."""
    forms = [context.forms.get(value) if value is not None else None for value in node.inputs]
    deltas = [form for form in forms if isinstance(form, Delta)]
    if len(deltas) != len(forms):
        return "not all of its inputs are spatial deltas"
    if len({(delta.layout, delta.spatial) for delta in deltas}) > 1:
        return "its inputs differ in layout or map size"
    if node.attributes["axis"].as_int() % len(deltas[0].layout) != deltas[0].channel_axis:
        return "it does not concatenate channels"
    return None


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    deltas, name = [context.delta(value) for value in node.inputs], str(node.outputs[0].name)
    boxes = context.emit("UnionBoxes", [delta.live for delta in deltas], {}, f"{name}.boxes")
    parts = context.emit("StackBoxes", [delta.boxes for delta in deltas], {}, f"{name}.parts")
    values = context.emit("IncrementalConcat", [boxes, parts, *(delta.values for delta in deltas)], {}, f"{name}.delta")
    return make_delta(node, values, boxes, deltas[0].layout)

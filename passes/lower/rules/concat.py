"""Concat over channels: each input zero outside its own box, boxes united; a constant has no delta.

Y = Concat(A, B, axis = channels)    ->    DY = IncrementalConcat(hull, [a_boxes, b_boxes], DA, DB)
Y = Concat(A, k, axis = channels)    ->    DY = DA, zeros behind each row
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.lower.context import LoweringContext, array_of
from krypton_compile.passes.lower.emit import Emitter
from krypton_compile.passes.lower.forms import Delta, Form, make_delta
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.shapes import static_shape


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    forms = [context.forms.get(value) if value is not None else None for value in node.inputs]
    first = next((form for form in forms if isinstance(form, Delta)), None)
    if first is None or any(
        not isinstance(form, Delta) and array_of(value) is None for form, value in zip(forms, node.inputs, strict=True)
    ):
        raise Refused("not all of its inputs are spatial deltas or constants: some are flattened or dense")
    if len({(form.layout, form.spatial) for form in forms if isinstance(form, Delta)}) > 1:
        raise Refused("its inputs differ in layout or map size")
    axis = context.axis(node, first)
    if axis != first.channel_axis:
        raise Refused("it does not concatenate channels")
    emitter, name = context.emitter, str(node.outputs[0].name)
    deltas: list[Delta] = []
    zeros = 0
    for form, value in zip(forms, node.inputs, strict=True):
        if isinstance(form, Delta):
            deltas.append(form)
            if zeros:
                deltas[-1], zeros = _padded(emitter, deltas[-1], zeros, 0, f"{name}.{len(deltas)}"), 0
        elif value is not None:
            count = static_shape(value)[axis]
            if deltas:
                deltas[-1] = _padded(emitter, deltas[-1], 0, count, f"{name}.{len(deltas)}")
            else:
                zeros += count
    if len(deltas) == 1:
        return make_delta(node, deltas[0].values, deltas[0].boxes, first.layout, deltas[0].live)
    boxes = emitter.emit("UnionBoxes", [delta.live for delta in deltas], {}, f"{name}.boxes")
    parts = emitter.emit("StackBoxes", [delta.boxes for delta in deltas], {}, f"{name}.parts")
    values = emitter.emit("IncrementalConcat", [boxes, parts, *(delta.values for delta in deltas)], {}, f"{name}.delta")
    return make_delta(node, values, boxes, first.layout)


def _padded(emitter: Emitter, x: Delta, before: int, after: int, name: str) -> Delta:
    """The delta with channels that are zero in front of and behind its own."""
    pads = emitter.initializer(f"{name}.pads", np.array([0, before, 0, after], np.int64))
    values = emitter.emit("Pad", [x.values, pads], {}, f"{name}.padded", domain="")
    return replace(x, values=values, channels=before + x.channels + after)

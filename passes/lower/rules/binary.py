"""Functions of two maps, or of a map and a constant that broadcasts to it: Add, Sub, Mul, Div, Max, Min, Pow.

    Y = f(A, B)    ->    DY = f(A0 + DA, B0 + DB) - f(A0, B0)    on the hull of the boxes of A and B
    Y = A ** 2     ->    the same of A * A
    Y = A ** 0.5   ->    the same of the square root (lower_function)

ONNX's broadcasting: one operand may have a single channel, a constant also a single row or column. What has a cheaper
rule comes first (lower_elementwise, lower_activation).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.contract.layouts import as_volume, channel_axis, spatial_axes
from krypton_compile.contract.schemas import BINARY
from krypton_compile.passes.interface import static_shape
from krypton_compile.passes.lower.context import Delta, Form, LoweringContext, make_delta
from krypton_compile.passes.lower.rules.activation import emit_function


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this node cannot be incremental, or None."""
    if len(node.inputs) != 2 or any(value is None for value in node.inputs):
        return f"expected two operands, found {len(node.inputs)}"
    forms = [context.forms.get(value) for value in node.inputs if value is not None]
    deltas = [form for form in forms if isinstance(form, Delta)]
    if not deltas or any(form is not None and not isinstance(form, Delta) for form in forms):
        return "one of its inputs is dense"
    output = static_shape(node.outputs[0])
    layout = deltas[0].layout
    if len(output) != len(layout) or output[0] != 1:
        return f"it broadcasts the map to {list(output)}"
    channels, size = output[deltas[0].channel_axis], tuple(output[axis] for axis in spatial_axes(layout))
    for value, form in zip(node.inputs, forms, strict=True):
        if isinstance(form, Delta):
            if (form.layout, form.spatial) != (layout, size) or form.channels not in (1, channels):
                return "its two maps differ in size or layout"
        elif context.constant(value) is None:
            return "expected two maps, or a map and a constant"
    return None


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rules above."""
    power = context.constant(node.inputs[1]) if node.op_type == "Pow" else None
    if power is not None and power.size == 1:
        if float(power.reshape(())) == 2.0:
            return emit_binary(node, context, "Mul", node.inputs[0], node.inputs[0])
        if float(power.reshape(())) == 0.5:
            return emit_function(node, context, node.inputs[0], {"function": "Sqrt"})
    return emit_binary(node, context, node.op_type, node.inputs[0], node.inputs[1])


def emit_binary(
    node: ir.Node, context: LoweringContext, function: str, first: ir.Value | None, second: ir.Value | None
) -> Delta:
    """The delta of ``function`` of two values, the node's output; at least one has a delta."""
    assert function in BINARY and first is not None and second is not None
    name, swapped = str(node.outputs[0].name), first not in context.forms
    moved, other = (second, first) if swapped else (first, second)
    a = context.delta(moved)
    attributes: dict[str, int | float | str | Sequence[int]] = {"function": function, "swapped": int(swapped)}
    inputs = [a.values, a.boxes, context.base_map(moved, a.layout)]
    boxes, live = a.boxes, a.live
    if other in context.forms:
        b = context.delta(other)
        boxes = live = context.emit("UnionBoxes", [a.live, b.live], {}, f"{name}.boxes")
        inputs += [context.base_map(other, a.layout), boxes, b.values, b.boxes]
    else:
        constant = context.constant(other)
        assert constant is not None
        inputs += [context.initializer(f"{name}.constant", _map_of(constant, a.layout)), boxes]
    values = context.emit("IncrementalBinary", inputs, attributes, f"{name}.delta")
    if function in ("Max", "Min"):
        live = context.shrink(values, boxes, name)
    return make_delta(node, values, boxes, a.layout, live)


def _map_of(constant: npt.NDArray[np.generic], layout: str) -> npt.NDArray[np.float32]:
    """A constant that broadcasts to a map as [h, w, c], or as [d, h, w, c] where slices differ."""
    whole = constant.astype(np.float32).reshape((1,) * (len(layout) - constant.ndim) + constant.shape)
    last = np.moveaxis(whole[0], channel_axis(layout) - 1, -1)
    volume = last.reshape(*as_volume(last.shape[:-1]), last.shape[-1])
    return np.ascontiguousarray(volume if len(volume) > 1 else volume[0])

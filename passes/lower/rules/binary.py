"""Functions of two maps, or of a map and a constant: Add, Sub, Mul, Div, Max, Min, Pow.

    Y = f(A, B)    ->    DY = f(A0 + DA, B0 + DB) - f(A0, B0)    on the hull of the boxes of A and B
    Y = A ** 2     ->    the same of A * A
    Y = A ** 0.5   ->    the same of the square root (activation.py)

They broadcast as ONNX has it: one operand may have a single channel, a constant also a single row or
column. What has a cheaper rule comes first (elementwise.py, clip.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.contract.layouts import as_volume, channel_axis, spatial_axes
from krypton_compile.passes.lower.context import LoweringContext, array_of, input_of
from krypton_compile.passes.lower.forms import Delta, Form, make_delta
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.lower.rules.activation import emit_function
from krypton_compile.passes.shapes import static_shape


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rules above."""
    _require_operands(node, context)
    power = array_of(input_of(node, 1)) if node.op_type == "Pow" else None
    if power is not None and power.size == 1:
        if float(power.reshape(())) == 2.0:
            return emit_binary(node, context, "Mul", (0, 0))
        if float(power.reshape(())) == 0.5:
            return emit_function(node, context, 0, {"function": "Sqrt"})
    return emit_binary(node, context, node.op_type, (0, 1))


def emit_binary(node: ir.Node, context: LoweringContext, function: str, operands: tuple[int, int]) -> Delta:
    """The node's delta by ``function`` of two of its inputs, of which one has a delta at least."""
    emitter, name = context.emitter, str(node.outputs[0].name)
    swapped = not context.depends_on_image(node, operands[0])
    moved, other = operands[::-1] if swapped else operands
    a = context.delta(node, moved)
    attributes: dict[str, int | float | str | Sequence[int]] = {"function": function, "swapped": int(swapped)}
    inputs = [a.values, a.boxes, context.base_map(node, moved)]
    boxes, live = a.boxes, a.live
    if context.depends_on_image(node, other):
        b = context.delta(node, other)
        boxes = live = emitter.emit("UnionBoxes", [a.live, b.live], {}, f"{name}.boxes")
        inputs += [context.base_map(node, other), boxes, b.values, b.boxes]
    else:
        constant = _map_of(context.constant(node, other, "operands"), a.layout)
        inputs += [emitter.initializer(f"{name}.constant", constant), boxes]
    values = emitter.emit("IncrementalBinary", inputs, attributes, f"{name}.delta")
    if function in ("Max", "Min"):
        live = emitter.shrink(values, boxes, name)
    return make_delta(node, values, boxes, a.layout, live)


def _require_operands(node: ir.Node, context: LoweringContext) -> None:
    """Refuse what is neither two maps of one size nor such a map and a constant."""
    if len(node.inputs) != 2 or any(value is None for value in node.inputs):
        raise Refused(f"it has {len(node.inputs)} operands, not two")
    forms = [context.forms.get(value) for value in node.inputs if value is not None]
    deltas = [form for form in forms if isinstance(form, Delta)]
    if not deltas or any(form is not None and not isinstance(form, Delta) for form in forms):
        raise Refused("one of its inputs is dense")
    output, layout = static_shape(node.outputs[0]), deltas[0].layout
    if len(output) != len(layout) or output[0] != 1:
        raise Refused(f"it broadcasts the map to {list(output)}")
    channels, size = output[deltas[0].channel_axis], tuple(output[axis] for axis in spatial_axes(layout))
    for value, form in zip(node.inputs, forms, strict=True):
        if isinstance(form, Delta):
            if (form.layout, form.spatial) != (layout, size) or form.channels not in (1, channels):
                raise Refused("its two maps differ in size or layout")
        elif array_of(value) is None:
            raise Refused("its operands are neither two maps nor a map and a constant")


def _map_of(constant: npt.NDArray[np.generic], layout: str) -> npt.NDArray[np.float32]:
    """A constant that broadcasts to a map as [h, w, c], or as [d, h, w, c] where slices differ."""
    whole = constant.astype(np.float32).reshape((1,) * (len(layout) - constant.ndim) + constant.shape)
    last = np.moveaxis(whole[0], channel_axis(layout) - 1, -1)
    volume = last.reshape(*as_volume(last.shape[:-1]), last.shape[-1])
    return np.ascontiguousarray(volume if len(volume) > 1 else volume[0])

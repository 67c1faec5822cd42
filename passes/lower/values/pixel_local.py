"""Functions of single pixels, computed on T' itself by onnxruntime's own ops, on the rows of the boxes.

    Y = f(A, B, ...)    ->    A', B', ... = RowValues(boxes, A0, DA), ...;  Y' = f(A', B', ...)
    DY                  =     RowDelta(Y', Y0)                            where an op asks for the delta

f may be any op that sees a pixel's row of channels and nothing else: all pointwise ops, comparisons,
Where, and reductions, norms and the like over channels. It is how an op becomes incremental that has
no delta rule of its own, and how an ill-conditioned one keeps its digits (find_ill_conditioned.py).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.contract.layouts import as_volume, channel_axis, spatial_axes, swapped
from krypton_compile.passes.lower.context import LoweringContext, array_of
from krypton_compile.passes.lower.dense_batch_axis import POINTWISE, REDUCTIONS
from krypton_compile.passes.lower.forms import Delta, Ragged, Rows, volume_shape
from krypton_compile.passes.lower.reasons import NO_RULE
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.lower.rules.global_pool import reduced_axes
from krypton_compile.passes.lower.values.quiet import emit_quiet
from krypton_compile.passes.shapes import permutation, static_shape

_ALONG_AXIS = {"ArgMax": 0, "ArgMin": 0, "Hardmax": -1, "LogSoftmax": -1, "LpNormalization": -1, "Softmax": -1}
_FROM_AXIS = {"LayerNormalization": -1, "RMSNormalization": -1}
_OPS = (
    POINTWISE
    | REDUCTIONS
    | _ALONG_AXIS.keys()
    | _FROM_AXIS.keys()
    | {"Concat", "CumSum", "Expand", "MatMul", "Transpose"}
) - {
    "Dropout",
    "Identity",
}


def lower_pixel_local(node: ir.Node, context: LoweringContext, boxes: ir.Value | None = None) -> Rows:
    """Compute the node's T' on boxes, on those of its inputs where none are given.

    Raises:
        Refused: if the node sees more than a pixel's channels, or its inputs are no maps and constants.
    """
    output = node.outputs[0]
    if any(other.name and other.uses() for other in node.outputs[1:]):
        raise Refused("its other outputs are used too")
    if node.domain not in ("", "ai.onnx") or node.op_type not in _OPS:
        known = NO_RULE.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        raise Refused(known or f"no incremental rule for {node.op_type}")
    place = _place(node, context)
    if node.op_type == "Transpose":
        return _transposed(node, context, boxes)
    _require_map(output, place)
    attributes, rest = _on_rows(node, context, place)
    boxes = boxes or _boxes(node, context)
    inputs, changed = [], []
    for value in [*node.inputs[: len(node.inputs) - rest]]:
        rows = None
        if value is not None and value in context.forms:
            rows = rows_of(value, boxes, context)
            changed.append(rows.changed)
        inputs.append(rows.values if rows is not None else _constant_rows(value, place, boxes, context))
    inputs += _axes_input(node, context, rest)
    emitted = context.emitter.emit_node(node.op_type, inputs, attributes, f"{output.name}.rows", domain=node.domain)
    for attribute in node.attributes.values():
        if attribute.name not in attributes:
            emitted.attributes.add(attribute)
    any_changed = changed[0]
    for other in dict.fromkeys(changed[1:]):
        if other is not changed[0]:
            any_changed = context.emitter.emit("Or", [any_changed, other], {}, f"{output.name}.changed", domain="")
    channels, depth, height, width = volume_shape(static_shape(output), place.layout)
    return Rows(emitted.outputs[0], boxes, boxes, place.layout, channels, height, width, depth, changed=any_changed)


def rows_of(value: ir.Value, boxes: ir.Value, context: LoweringContext, exactly: bool = False) -> Rows:
    """T' of a map on boxes, made once; ``exactly`` where conditioning does not ask for it by itself.

    Raises:
        Refused: if the value has neither a delta nor rows.
    """
    memo = context.forms.rows
    if (value, boxes) not in memo:
        exactly = exactly or value in context.conditioning.read
        memo[value, boxes] = _make_rows(value, boxes, context, exactly)
    return memo[value, boxes]


def to_delta(value: ir.Value, context: LoweringContext) -> None:
    """Let a value that is known as rows have a delta as well.

    Raises:
        Refused: if the rows are no floats.
    """
    form = context.forms[value]
    if not isinstance(form, Rows):
        return
    _require_float(value)
    base = context.emitter.base_map(value, form.layout)
    inputs = [form.values, form.boxes, form.changed, base]
    values = context.emitter.emit("RowDelta", inputs, {}, f"{value.name}.delta")
    live = context.emitter.shrink(values, form.boxes, str(value.name))
    context.forms.rows[value, form.boxes] = form
    context.forms[value] = Delta(
        values, form.boxes, live, form.layout, form.channels, form.height, form.width, form.depth
    )


def known_rows(value: ir.Value, context: LoweringContext) -> Rows | None:
    """T' on the boxes on which it was made; None if it was not."""
    return next((rows for (made, _), rows in context.forms.rows.items() if made is value), None)


def _make_rows(value: ir.Value, boxes: ir.Value, context: LoweringContext, exactly: bool) -> Rows:
    form, name = context.forms[value], str(value.name)
    own = form if isinstance(form, Rows) else known_rows(value, context)
    if own is not None and own.boxes is boxes:
        return own
    producer = value.producer()
    if own is not None and producer is not None and value.dtype not in (None, ir.DataType.FLOAT):
        return lower_pixel_local(producer, context, boxes)  # truths and indices have no map of floats to be read from
    if not isinstance(form, Ragged):
        raise Refused("one of its inputs is dense, or flattened")
    emitter, source = context.emitter, own or form
    base = emitter.base_map(value, source.layout)
    inputs: list[ir.Value | None] = [boxes, base, source.values, source.boxes]
    baseline = context.baseline
    if own is None and baseline is not None and exactly and baseline.can_copy(value):
        inputs += [baseline.known_rows(source, boxes), baseline.map(value, source.layout)]
    attributes = {"of": "delta" if own is None else "values"}
    made = emitter.emit_node("RowValues", inputs, attributes, f"{name}.rows", f"{name}.changed")
    values, changed = made.outputs
    if own is None and exactly and baseline is not None:
        values = emit_quiet(value, values, boxes, context)
    return Rows(
        values, boxes, boxes, source.layout, source.channels, source.height, source.width, source.depth, changed=changed
    )


def _place(node: ir.Node, context: LoweringContext) -> Ragged:
    """The form of the input with the most pixels and channels."""
    forms = [context.forms[value] for value in node.inputs if value is not None and value in context.forms]
    ragged = [form for form in forms if isinstance(form, Ragged)]
    if len(ragged) != len(forms) or not ragged:
        raise Refused("one of its inputs is dense, or flattened")
    place = max(ragged, key=lambda form: (math.prod(form.spatial), form.channels))
    if any(form.layout != place.layout or form.spatial != place.spatial for form in ragged):
        raise Refused("its maps differ in size or layout")
    return place


def _boxes(node: ir.Node, context: LoweringContext) -> ir.Value:
    forms = [context.forms[value] for value in node.inputs if value is not None and value in context.forms]
    lives = list(dict.fromkeys(form.live for form in forms if isinstance(form, Ragged)))
    if len(lives) == 1:
        return lives[0]
    return context.emitter.emit("UnionBoxes", lives, {}, f"{node.outputs[0].name}.boxes")


def _require_map(output: ir.Value, place: Ragged) -> None:
    shape, layout = static_shape(output), place.layout
    sizes = tuple(shape[axis] for axis in spatial_axes(layout)) if len(shape) == len(layout) else ()
    if sizes != place.spatial or shape[0] != 1:
        raise Refused(f"its result {list(shape)} is no map of {list(place.spatial)} pixels")


def _on_rows(node: ir.Node, context: LoweringContext, place: Ragged) -> tuple[dict[str, int | list[int]], int]:
    """The attributes that differ on rows [R, C], and how many of the last inputs say axes.

    Raises:
        Refused: if the op sees more than a pixel's channels.
    """
    op, rank = node.op_type, len(place.layout)
    if op in POINTWISE:
        return {}, 0
    if op == "Expand":
        context.constant(node, 1, "sizes")
        return {}, 1
    if op == "MatMul":
        if (
            place.channels_first
            or node.inputs[0] not in context.forms
            or context.constant(node, 1, "weights").ndim != 2
        ):
            raise Refused("it is no product of each pixel's channels with a matrix")
        return {}, 1
    if op == "Concat":
        if node.attributes.get_int("axis") % rank != place.channel_axis or any(
            value not in context.forms for value in node.inputs
        ):
            raise Refused("it does not concatenate the channels of maps alone")
        return {"axis": 1}, 0
    if op == "CumSum":
        if int(context.constant(node, 1, "axes").reshape(-1)[0]) % rank != place.channel_axis:
            raise Refused("its sums run along the map: what changes at one end changes the other")
        return {}, 1
    if op in _FROM_AXIS:
        if place.channels_first:
            raise Refused(f"its input is {place.layout}, not a spatial delta whose channels come last")
        axis = node.attributes.get_int("axis", _FROM_AXIS[op])
        if axis % rank != place.channel_axis:
            raise Refused(f"it normalizes from axis {axis} on, not the channels alone")
        return {"axis": 1}, 0
    if op in _ALONG_AXIS:
        if node.attributes.get_int("axis", _ALONG_AXIS[op]) % rank != place.channel_axis:
            raise Refused("it is not over the channels alone")
        if op in ("ArgMax", "ArgMin") and not node.attributes.get_int("keepdims", 1):
            raise Refused("it drops the channel axis")
        return {"axis": 1}, 0
    axes = reduced_axes(node, context, rank)
    if axes != [place.channel_axis] or not node.attributes.get_int("keepdims", 1):
        raise Refused(f"it reduces axes {axes}, for which {op} has no rule")
    return ({"axes": [1]}, 0) if "axes" in node.attributes else ({}, len(node.inputs) - 1)


def _axes_input(node: ir.Node, context: LoweringContext, rest: int) -> list[ir.Value]:
    if not rest:
        return []
    if node.op_type == "MatMul":
        return [context.value(node, 1)]
    numbers, layout = [1], context.forms[context.value(node, 0)]
    if node.op_type == "Expand" and isinstance(layout, Ragged):
        numbers = [1, static_shape(node.outputs[0])[layout.channel_axis]]
    return [context.emitter.initializer(f"{node.outputs[0].name}.rows.axes", np.array(numbers, np.int64))]


def _transposed(node: ir.Node, context: LoweringContext, boxes: ir.Value | None) -> Rows:
    value = node.inputs[0]
    form = context.forms[value] if value is not None else None
    if not isinstance(form, Ragged) or value is None:
        raise Refused("its input is dense, or flattened")
    other = swapped(form.layout)
    if permutation(node) != tuple(form.layout.index(axis) for axis in other):
        raise Refused(f"it is not a change from {form.layout} to {other}")
    return replace(rows_of(value, boxes or form.live, context), layout=other)


def _constant_rows(value: ir.Value | None, place: Ragged, boxes: ir.Value, context: LoweringContext) -> ir.Value | None:
    """A constant as it broadcasts to rows: a number, one a channel, or those of a map under the boxes."""
    if value is None:
        return None
    array = array_of(value)
    if array is None:
        raise Refused("one of its inputs is neither a map that depends on the image nor a constant")
    emitter = context.emitter
    if array.ndim == 0:
        return value
    rank, axis = len(place.layout), place.channel_axis
    if array.size == 1:
        return emitter.initializer(f"{value.name}.number", array.reshape(()))
    shape = (1,) * (rank - array.ndim) + array.shape
    if len(shape) != rank or shape[0] != 1:
        raise Refused(f"it broadcasts its map with a constant of shape {list(array.shape)}")
    if array.size == shape[axis]:
        return value if array.ndim == 1 else emitter.initializer(f"{value.name}.channels", array.reshape(-1))
    return _rows_of_map(value, array.reshape(shape), place, boxes, context)


def _rows_of_map(
    value: ir.Value, array: npt.NDArray[np.generic], place: Ragged, boxes: ir.Value, context: LoweringContext
) -> ir.Value:
    emitter, name = context.emitter, str(value.name)
    pixels = np.moveaxis(array[0], channel_axis(place.layout) - 1, -1)
    sizes = as_volume(place.spatial)
    full = np.broadcast_to(pixels.reshape(*as_volume(pixels.shape[:-1]), pixels.shape[-1]), (*sizes, pixels.shape[-1]))
    as_floats = np.ascontiguousarray(full if len(place.spatial) == 3 else full[0]).astype(np.float32)
    if (as_floats.astype(array.dtype).reshape(-1) != full.reshape(-1)).any():
        raise Refused("its constant map has numbers that float32 does not hold")
    source = emitter.initializer(f"{name}.map", as_floats)
    rows = emitter.emit_node("RowValues", [boxes, source], {}, f"{name}.rows", f"{name}.rows.changed").outputs[0]
    if array.dtype == np.float32:
        return rows
    kind = int(ir.DataType.from_numpy(array.dtype))
    return emitter.emit("Cast", [rows], {"to": kind}, f"{name}.rows.cast", domain="")


def _require_float(value: ir.Value) -> None:
    if value.dtype not in (None, ir.DataType.FLOAT):
        raise Refused(f"its input '{value.name}' holds {value.dtype}, of which there is no delta")

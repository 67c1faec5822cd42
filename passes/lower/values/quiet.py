"""Quiet windows: where all that a convolution reads is exactly 0, its T' is its bias, and no rounding of T0 + D.

Behind a Relu whole neighbourhoods of features vanish, in a dead channel or on a black background. T0 + DW is then
the bias but for rounding, and a norm without a bias before it makes of that rounding what it makes of a feature.

    N = Conv(sign(sum over channels |X|), ones)      how many pixels of the window are not 0: integers, exact
    T' = bias where N0 + DN = 0, else T0 + D         where T' is read itself (emit_quiet)
    D  = bias - T0 where N0 + DN = 0, else D         where other ops lie between: T0 + D is then exactly 0 (quieten)

The pixels are counted incrementally, as one channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.lower.context import LoweringContext, array_of, input_of
from krypton_compile.passes.lower.forms import Delta
from krypton_compile.passes.lower.values.zeros import is_window, vanishes


def emit_quiet(value: ir.Value, rows: ir.Value, boxes: ir.Value, context: LoweringContext) -> ir.Value:
    """Put the bias into those of ``rows``, T' of ``value`` on ``boxes``, whose windows hold zeros alone.

    Rows of other ops, of volumes, and of what is never exactly 0 stay as they are.
    """
    form, node = context.forms[value], value.producer()
    quiet = _find_quiet(value, boxes, context) if node is not None and vanishes(node.inputs[0]) else None
    if quiet is None or not isinstance(form, Delta):
        return rows
    alone = _bias(value, form, context)
    return context.emitter.emit("Where", [quiet, alone, rows], {}, f"{value.name}.rows.quiet", domain="")


def quieten(value: ir.Value, context: LoweringContext) -> None:
    """Let the delta of ``value`` be what makes T0 + D the bias where windows hold zeros alone."""
    form = context.forms.get(value)
    quiet = _find_quiet(value, form.boxes, context) if isinstance(form, Delta) else None
    if quiet is None or not isinstance(form, Delta):
        return
    emitter, name = context.emitter, str(value.name)
    base = emitter.base_map(value, form.layout)
    before = emitter.emit_node("RowValues", [form.boxes, base], {}, f"{name}.base", f"{name}.base.changed").outputs[0]
    alone = emitter.emit("Sub", [_bias(value, form, context), before], {}, f"{name}.alone.delta", domain="")
    values = emitter.emit("Where", [quiet, alone, form.values], {}, f"{name}.delta.quiet", domain="")
    context.forms[value] = replace(form, values=values)


def _find_quiet(value: ir.Value, boxes: ir.Value, context: LoweringContext) -> ir.Value | None:
    """Bool [R, 1]: which rows of ``boxes`` have windows of zeros alone; None where that cannot be told."""
    node, form = value.producer(), context.forms[value]
    if node is None or not is_window(node) or not isinstance(form, Delta) or form.depth > 1:
        return None
    source, made = node.inputs[0], _made(form)
    x = context.forms.get(source) if source is not None else None
    if source is None or not isinstance(x, Delta) or made is None:
        return None
    if node.op_type == "Conv" and input_of(node, 2) is not None and array_of(input_of(node, 2)) is None:
        return None
    emitter, name = context.emitter, str(value.name)
    counts = _count_pixels(source, x, made, form, context)
    inputs = [boxes, counts[1], counts[0], form.boxes]
    counted = emitter.emit_node("RowValues", inputs, {}, f"{name}.pixels", f"{name}.pixels.changed").outputs[0]
    half = emitter.initializer(f"{name}.half", np.array(0.5, np.float32))
    return emitter.emit("Less", [counted, half], {}, f"{name}.quiet", domain="")


def _made(form: Delta) -> ir.Node | None:
    """The op that reads the windows."""
    made = form.values.producer()
    if made is not None and made.op_type == "Where" and made.inputs[2] is not None:
        made = made.inputs[2].producer()  # quietened
    return made if made is not None and made.op_type in _MADE else None


def _bias(value: ir.Value, form: Delta, context: LoweringContext) -> ir.Value:
    node = value.producer()
    bias = array_of(input_of(node, 2)) if node is not None and node.op_type == "Conv" else None
    numbers = np.zeros((1, form.channels), np.float32) if bias is None else bias.astype(np.float32).reshape(1, -1)
    return context.emitter.initializer(f"{value.name}.alone", numbers)


def _count_pixels(
    source: ir.Value, x: Delta, made: ir.Node, y: Delta, context: LoweringContext
) -> tuple[ir.Value, ir.Value]:
    """How many pixels of each window are not 0: the delta of that number on the boxes of ``y``, and its base map."""
    emitter, name = context.emitter, str(source.name)
    base = emitter.base_map(source, x.layout)
    channels = emitter.initializer(f"{name}.pixels.axis", np.array([2], np.int64))
    magnitude = emitter.emit_base("Abs", [base], {}, f"{name}.pixels.magnitude", domain="")
    total = emitter.emit_base("ReduceSum", [magnitude, channels], {}, f"{name}.pixels.total", domain="")
    map_ = emitter.emit_base("Sign", [total], {}, f"{name}.pixels", domain="")
    map_.type, map_.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([x.height, x.width, 1])
    moved = emitter.emit_node("RowValues", [x.live, base, x.values, x.boxes], {}, f"{name}.all", f"{name}.all.changed")
    one = emitter.initializer(f"{name}.rows.axis", np.array([1], np.int64))
    magnitude = emitter.emit("Abs", [moved.outputs[0]], {}, f"{name}.rows.magnitude", domain="")
    total = emitter.emit("ReduceSum", [magnitude, one], {}, f"{name}.rows.total", domain="")
    signs = emitter.emit("Sign", [total], {}, f"{name}.rows.sign", domain="")
    delta = emitter.emit("RowDelta", [signs, x.live, moved.outputs[1], map_], {}, f"{name}.pixels.delta")
    window = {key: made.attributes[key].as_ints() for key in _ATTRIBUTES}
    kernel = window["kernel_shape"]
    ones = emitter.initializer(f"{name}.ones", np.ones((1, 1, *kernel), np.float32))
    counts = emitter.emit(
        "IncrementalConv", [delta, x.live, y.boxes, ones], {**window, "group": 1}, f"{name}.counts.delta"
    )
    whole, whole_y = (
        emitter.initializer(f"{name}.{kind}", np.array([[0, 0, *shape]], np.int32))
        for kind, shape in (("whole_map", (x.height, x.width)), ("whole_counts", (y.height, y.width)))
    )
    shapes = [np.array(shape, np.int64) for shape in ((-1, 1), (y.height, y.width, 1))]
    flat, back = (emitter.initializer(f"{name}.{kind}", a) for kind, a in zip(("flat", "back"), shapes, strict=True))
    pixels = emitter.emit_base("Reshape", [map_, flat], {}, f"{name}.pixels.flat", domain="")
    attributes: dict[str, int | Sequence[int]] = {**window, "group": 1}
    sums = emitter.emit_base("IncrementalConv", [pixels, whole, whole_y, ones], attributes, f"{name}.counts.flat")
    counted = emitter.emit_base("Reshape", [sums, back], {}, f"{name}.counts", domain="")
    counted.type, counted.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([y.height, y.width, 1])
    return counts, counted


_MADE = ("IncrementalAveragePool", "IncrementalConv", "IncrementalMaxPool")
_ATTRIBUTES = ("kernel_shape", "strides", "pads", "dilations", "input_shape", "output_shape")

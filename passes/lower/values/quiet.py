"""Quiet windows: where all that a convolution reads is exactly 0, its T' is its bias, and no rounding of T0 + D.

Behind a Relu whole neighbourhoods of features vanish, in a dead channel or on a black background. T0 + DW is then
the bias but for rounding, and a norm without a bias before it makes of that rounding what it makes of a feature.

    N = Conv(sign(sum over channels |X|), ones)      how many pixels of the window are not 0: integers, exact
    T' = bias where N0 + DN = 0, else T0 + D

The pixels are counted incrementally, as one channel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.lower.context import LoweringContext, array_of, input_of
from krypton_compile.passes.lower.forms import Delta
from krypton_compile.passes.lower.values.bounds import begins_at_zero

_WINDOWS = ("Conv", "AveragePool")
_KEEPING_ZEROS = frozenset("AveragePool Cast Dropout Identity MaxPool Sqrt Transpose".split())
_ZERO_IF_ANY = frozenset(("Div", "Mul"))
_DEPTH = 12


def emit_quiet(value: ir.Value, rows: ir.Value, boxes: ir.Value, context: LoweringContext) -> ir.Value:
    """Put the bias into those of ``rows``, T' of ``value`` on ``boxes``, whose windows hold zeros alone.

    Rows of other ops, of volumes, and of what is never exactly 0 stay as they are.
    """
    node, form = value.producer(), context.forms[value]
    if node is None or node.op_type not in _WINDOWS or not isinstance(form, Delta) or form.depth > 1:
        return rows
    source, made = node.inputs[0], form.values.producer()
    x = context.forms.get(source) if source is not None else None
    if source is None or not isinstance(x, Delta) or made is None or not _vanishes(source, _DEPTH):
        return rows
    bias = array_of(input_of(node, 2)) if node.op_type == "Conv" else None
    if input_of(node, 2) is not None and bias is None and node.op_type == "Conv":
        return rows
    emitter, name = context.emitter, str(value.name)
    counts = _count_pixels(source, x, made, form, context)
    inputs = [boxes, counts[1], counts[0], form.boxes]
    counted = emitter.emit_node("RowValues", inputs, {}, f"{name}.pixels", f"{name}.pixels.changed").outputs[0]
    half = emitter.initializer(f"{name}.half", np.array(0.5, np.float32))
    quiet = emitter.emit("Less", [counted, half], {}, f"{name}.quiet", domain="")
    numbers = np.zeros((1, form.channels), np.float32) if bias is None else bias.astype(np.float32).reshape(1, -1)
    alone = emitter.initializer(f"{name}.alone", numbers)
    return emitter.emit("Where", [quiet, alone, rows], {}, f"{name}.rows.quiet", domain="")


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


_ATTRIBUTES = ("kernel_shape", "strides", "pads", "dilations", "input_shape", "output_shape")


def _vanishes(value: ir.Value, depth: int) -> bool:
    """Whether exact zeros are to be expected: the value is a Relu's, or made of such by ops that keep zeros."""
    node = value.producer()
    if node is None or depth == 0:
        return False
    op = node.op_type
    if op in ("Relu", "ThresholdedRelu"):
        return True
    if op == "Clip":
        return begins_at_zero(node)
    inputs = [each for each in node.inputs if each is not None]
    if op == "Concat":
        return all(_vanishes(each, depth - 1) for each in inputs)
    if op in _ZERO_IF_ANY:
        return any(_vanishes(each, depth - 1) for each in inputs[: 1 if op == "Div" else 2])
    if op in _KEEPING_ZEROS or (op == "Conv" and len(inputs) == 2):
        return _vanishes(inputs[0], depth - 1)
    return False

"""MaxPool, LpPool and AveragePool.

Y = MaxPool(X)        ->  DY = max over taps of (X0 - Y0) + DX, X0 and Y0 the base maps
Y = LpPool(X)         ->  DY = (sum over taps of |X0 + DX|^p)^(1/p) - (sum over taps of |X0|^p)^(1/p)
Y = AveragePool(X)    ->  DY = sum over taps of DX / count of the absolute window

The window of a volume has a depth: all of them read several slices then. LpPool's sums are of float64, onnxruntime's
of float32, where a large p makes 0 of small numbers: such a pool is left to it.
"""

from __future__ import annotations

import onnx_ir as ir

from krypton_compile.passes.interface import static_shape
from krypton_compile.passes.lower.context import (
    Delta,
    Form,
    LoweringContext,
    depth_attribute,
    emit_depth_boxes,
    emit_window_boxes,
    make_delta,
    window_attributes,
)
from krypton_compile.passes.window_of import Axis, depth_window, end_pads, read_axes, slice_window

_LARGEST_POWER = 4
"""Of an LpPool: with p = 4 maps of 1e-8 are exact still. With p = 8 those of 1e-4 were off by 2e-5 of the largest
score, with p = 32 those of 1 by 7e-5."""


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this pool cannot be incremental, or None."""
    x = context.forms.get(node.inputs[0]) if node.inputs[0] else None
    if not isinstance(x, Delta):
        return "its input is not a spatial delta"
    if not x.channels_first:
        return f"its input is {x.layout}"
    if len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output()):
        return "its indices are used"
    if node.op_type == "LpPool" and _power(node) > _LARGEST_POWER:
        return f"powers of p = {_power(node)} may leave float32, which onnxruntime sums them in"
    return _check_ceil_mode(node, _axes(node, x))


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rules above."""
    x, name = context.delta(node.inputs[0]), str(node.outputs[0].name)
    axes = _axes(node, x)
    window, along = slice_window(axes), depth_window(axes)
    boxes = emit_window_boxes(context, emit_depth_boxes(context, x, along, name), window, name)
    attributes = dict(window_attributes(window))
    if len(axes) == 3:
        attributes |= depth_attribute(along, axes[0].end)
    if node.op_type == "MaxPool":
        source = node.inputs[0]
        assert source is not None
        maps = [context.base_map(source, x.layout), context.base_map(node.outputs[0], x.layout)]
        values = context.emit("IncrementalMaxPool", [x.values, x.boxes, boxes, *maps], attributes, f"{name}.delta")
        return make_delta(node, values, boxes, x.layout, context.shrink(values, boxes, name))
    if node.op_type == "LpPool":
        assert node.inputs[0] is not None
        inputs = [x.values, x.boxes, boxes, context.base_map(node.inputs[0], x.layout)]
        values = context.emit("IncrementalLpPool", inputs, {**attributes, "p": _power(node)}, f"{name}.delta")
        return make_delta(node, values, boxes, x.layout)
    include = node.attributes["count_include_pad"].as_int() if "count_include_pad" in node.attributes else 0
    # The divisor counts the pads that the node states, not those that ceil_mode adds.
    attributes["pads"] = [*window.pads, *end_pads(axes)]
    values = context.emit(
        "IncrementalAveragePool",
        [x.values, x.boxes, boxes],
        {**attributes, "count_include_pad": include},
        f"{name}.delta",
    )
    return make_delta(node, values, boxes, x.layout)


def _power(node: ir.Node) -> int:
    return node.attributes["p"].as_int() if "p" in node.attributes else 2


def _axes(node: ir.Node, x: Delta) -> list[Axis]:
    kernel = node.attributes["kernel_shape"].as_ints()
    return read_axes(node, kernel, x.spatial, static_shape(node.outputs[0])[2:])


def _check_ceil_mode(node: ir.Node, axes: list[Axis]) -> str | None:
    """Windows that ceil_mode hangs over the padding's end: onnxruntime's versions disagree on two of their details."""
    include = "count_include_pad" in node.attributes and node.attributes["count_include_pad"].as_int()
    for axis in axes:
        start = (axis.output - 1) * axis.stride
        if start >= axis.size + axis.pad:
            return "its last window starts in the padding; whether there is one depends on onnxruntime's version"
        if include and start + axis.reach > axis.size + axis.pad + axis.end:
            return "its last window ends beyond the padding; what it divides by depends on onnxruntime's version"
    return None

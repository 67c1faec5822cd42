"""MaxPool and AveragePool.

Y = MaxPool(X)        ->  DY = max over taps of (X0 - Y0) + DX, X0 and Y0 the base maps
Y = AveragePool(X)    ->  DY = sum over taps of DX / count of the absolute window
"""

from __future__ import annotations

import onnx_ir as ir

from krypton_compile.geometry import Window
from krypton_compile.interface import static_shape
from krypton_compile.passes.lowering import (
    Delta,
    Form,
    LoweringContext,
    emit_window_boxes,
    make_delta,
    window_attributes,
)
from krypton_compile.passes.windows import end_pads, read_window


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this pool cannot be incremental, or None."""
    x = context.forms.get(node.inputs[0]) if node.inputs[0] else None
    if not isinstance(x, Delta):
        return "its input is not a spatial delta"
    if x.layout != "NCHW":
        return f"its input is {x.layout}"
    if len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output()):
        return "its indices are used"
    return _check_ceil_mode(node, _window(node, x))


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rules above."""
    x, name = context.delta(node.inputs[0]), str(node.outputs[0].name)
    window = _window(node, x)
    boxes = emit_window_boxes(context, x, window, name)
    attributes = dict(window_attributes(window))
    if node.op_type == "MaxPool":
        source = node.inputs[0]
        assert source is not None
        maps = [context.base_map(source, "NCHW"), context.base_map(node.outputs[0], "NCHW")]
        values = context.emit("IncrementalMaxPool", [x.values, x.boxes, boxes, *maps], attributes, f"{name}.delta")
        return make_delta(node, values, boxes, "NCHW", context.shrink(values, boxes, name))
    include = node.attributes["count_include_pad"].as_int() if "count_include_pad" in node.attributes else 0
    # The divisor counts the pads that the node states, not those that ceil_mode adds.
    attributes["pads"] = [*window.pads, *end_pads(node, window)]
    values = context.emit(
        "IncrementalAveragePool",
        [x.values, x.boxes, boxes],
        {**attributes, "count_include_pad": include},
        f"{name}.delta",
    )
    return make_delta(node, values, boxes, "NCHW")


def _window(node: ir.Node, x: Delta) -> Window:
    output = static_shape(node.outputs[0])
    return read_window(node, node.attributes["kernel_shape"].as_ints(), x.map_shape, (output[2], output[3]))


def _check_ceil_mode(node: ir.Node, window: Window) -> str | None:
    """Windows that ceil_mode hangs over the padding's end: onnxruntime's versions disagree on two of their details."""
    include = "count_include_pad" in node.attributes and node.attributes["count_include_pad"].as_int()
    ends = end_pads(node, window)
    for axis in (0, 1):
        start = (window.output_shape[axis] - 1) * window.strides[axis]
        reach = window.dilations[axis] * (window.kernel[axis] - 1) + 1
        if start >= window.input_shape[axis] + window.pads[axis]:
            return "its last window starts in the padding; whether there is one depends on onnxruntime's version"
        if include and start + reach > window.input_shape[axis] + window.pads[axis] + ends[axis]:
            return "its last window ends beyond the padding; what it divides by depends on onnxruntime's version"
    return None

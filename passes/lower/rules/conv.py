"""Conv: DY = W * DX, the same convolution without bias, on the boxes only.

Y = Conv(X, W, b)    ->    y_boxes = WindowBoxes(x_boxes)
DY = IncrementalConv(DX, x_boxes, y_boxes, W)

of a volume's slices ->    g_boxes = DepthBoxes(x_boxes), y_boxes = WindowBoxes(g_boxes)
DY = IncrementalConv(DepthGather(DX, x_boxes, g_boxes), g_boxes, y_boxes, W)

A window of one slice needs no gather.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from krypton_compile.contract.layouts import KINDS
from krypton_compile.passes.interface import static_shape
from krypton_compile.passes.lower.context import (
    Delta,
    Form,
    LoweringContext,
    emit_depth_gather,
    emit_window_boxes,
    make_delta,
    window_attributes,
)
from krypton_compile.passes.window_of import depth_window, read_axes, slice_window


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this Conv cannot be incremental, or None."""
    x, weight = context.forms.get(node.inputs[0]) if node.inputs[0] else None, node.inputs[1]
    if not isinstance(x, Delta):
        return "its input is not a spatial delta"
    if not x.channels_first:
        return f"its input is {x.layout}"
    if weight is None or weight.const_value is None:
        return "its weights are not constant"
    if weight in context.forms or (len(node.inputs) > 2 and node.inputs[2] in context.forms):
        return "its weights or bias depend on the image"
    if len(static_shape(weight)) != 2 + len(x.spatial):
        return f"its weights {list(static_shape(weight))} are not those of a {KINDS[len(x.spatial)]}"
    pads = node.attributes["pads"].as_ints() if "pads" in node.attributes else ()
    if any(pad < 0 for pad in pads):
        return "it has negative pads"
    return None


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    x, weight, name = context.delta(node.inputs[0]), node.inputs[1], str(node.outputs[0].name)
    assert weight is not None
    axes = read_axes(node, static_shape(weight)[2:], x.spatial, static_shape(node.outputs[0])[2:])
    window, group = slice_window(axes), node.attributes["group"].as_int() if "group" in node.attributes else 1
    rows, source, live = emit_depth_gather(context, x, depth_window(axes), name, group)
    boxes = emit_window_boxes(context, live, window, name)
    attributes: dict[str, int | Sequence[int]] = {**window_attributes(window), "group": group}
    if len(axes) == 3:
        attributes["slices"] = axes[0].output
    values = context.emit("IncrementalConv", [rows, source, boxes, weight], attributes, f"{name}.delta")
    return make_delta(node, values, boxes, x.layout)

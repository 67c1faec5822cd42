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
from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.emit import emit_depth_gather, emit_window_boxes, window_attributes
from krypton_compile.passes.lower.forms import Form, make_delta
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.shapes import static_shape
from krypton_compile.passes.window_of import depth_window, read_axes, slice_window


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    x, emitter, name = context.delta_of_channels_first(node), context.emitter, str(node.outputs[0].name)
    if context.depends_on_image(node, 1) or context.depends_on_image(node, 2):
        raise Refused("its weights or bias depend on the image")
    weight = context.weight(node, 1, "weights")
    shape = static_shape(weight)
    if len(shape) != 2 + len(x.spatial):
        raise Refused(f"its weights {list(shape)} are not those of a {KINDS[len(x.spatial)]}")
    if any(pad < 0 for pad in node.attributes.get_ints("pads", ())):
        raise Refused("it has negative pads")
    axes = read_axes(node, shape[2:], x.spatial, static_shape(node.outputs[0])[2:])
    window, group = slice_window(axes), node.attributes.get_int("group", 1)
    rows, source, live = emit_depth_gather(emitter, x, depth_window(axes), name, group)
    boxes = emit_window_boxes(emitter, live, window, name)
    attributes: dict[str, int | Sequence[int]] = {**window_attributes(window), "group": group}
    if len(axes) == 3:
        attributes["slices"] = axes[0].output
    values = emitter.emit("IncrementalConv", [rows, source, boxes, weight], attributes, f"{name}.delta")
    return make_delta(node, values, boxes, x.layout)

"""Transpose, Pad, Flatten, Reshape, Identity, Dropout: where a delta's rows stay what they are.

Rows are pixels with their channels whatever the layout, so a Transpose between NCHW and NHWC only
renames the axes; Flatten and Reshape to [1, C*H*W] wait, as a Flat form, for the Gemm that reads them.
Pads along a volume's slices are a window of one slice that reads beyond the ends.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from krypton_compile.contract.geometry import DepthWindow
from krypton_compile.contract.layouts import spatial_axes, swapped
from krypton_compile.passes.interface import permutation, static_shape
from krypton_compile.passes.lower.context import Delta, Flat, Form, LoweringContext, emit_depth_gather, make_delta


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this node cannot be incremental, or None."""
    x = context.forms.get(node.inputs[0]) if node.inputs[0] else None
    if node.op_type in ("Identity", "Dropout"):
        return None
    if not isinstance(x, Delta):
        return "its input is not a spatial delta"
    if node.op_type == "Transpose":
        other = swapped(x.layout)
        if permutation(node) != tuple(x.layout.index(axis) for axis in other):
            return f"it is not a change from {x.layout} to {other}"
        return None
    if node.op_type == "Pad":
        return _check_pad(node, x, context)
    output = static_shape(node.outputs[0])
    if output != (1, x.channels * math.prod(x.spatial)):
        return f"it reshapes to {list(output)}, which neither keeps nor flattens the map"
    return None


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rules above."""
    source = node.inputs[0]
    assert source is not None
    if node.op_type in ("Identity", "Dropout"):
        return context.forms[source]
    x, name = context.delta(source), str(node.outputs[0].name)
    if node.op_type == "Transpose":
        return make_delta(node, x.values, x.boxes, swapped(x.layout), x.live)
    if node.op_type != "Pad":
        return Flat(x, source)
    begins, _ = _pads(node, x, context)
    output = make_delta(node, x.values, x.boxes, x.layout)
    *front, top, left = (0, 0, *begins)[-max(2, len(begins)) :]
    along = DepthWindow(1, 1, sum(front), 1, x.depth, output.depth)
    values, source, live = emit_depth_gather(context, x, along, name)
    attributes = {"shift": (top, left), "output_shape": output.map_shape}
    boxes = context.emit("TranslateBoxes", [live], attributes, f"{name}.boxes")
    values = context.emit("IncrementalPad", [values, source, boxes], attributes, f"{name}.delta")
    return make_delta(node, values, boxes, x.layout)


def _check_pad(node: ir.Node, x: Delta, context: LoweringContext) -> str | None:
    mode = node.attributes["mode"].as_string() if "mode" in node.attributes else "constant"
    if mode != "constant":
        return f"Pad mode '{mode}' has no rule yet"
    if context.constant(node.inputs[1]) is None:
        return "its pads are not constant"
    if len(node.inputs) > 2 and node.inputs[2] in context.forms:
        return "what it pads with depends on the image"
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        return "its axes are not constant"  # decompose has spelled others out
    _, others = _pads(node, x, context)
    return "it pads batch or channels" if any(others) else None


def _pads(node: ir.Node, x: Delta, context: LoweringContext) -> tuple[list[int], list[int]]:
    """Begin pads of the spatial axes; all pads of the others."""
    pads = context.constant(node.inputs[1])
    assert pads is not None
    axes, rank = spatial_axes(x.layout), len(x.layout)
    flat = [int(pad) for pad in pads]
    return [flat[axis] for axis in axes], [flat[axis] for axis in range(2 * rank) if axis % rank not in axes]

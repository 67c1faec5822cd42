"""Transpose, Pad, Flatten, Reshape, Identity, Dropout: where a delta's rows stay what they are.

Rows are pixels with their channels whatever the layout, so a Transpose between NCHW and NHWC only
renames the axes; Flatten and Reshape to [1, C*H*W] wait, as a Flat form, for the Gemm that reads them.
"""

from __future__ import annotations

import onnx_ir as ir

from krypton_compile.interface import static_shape
from krypton_compile.passes.lowering import Delta, Flat, Form, LoweringContext, make_delta

_TO_NHWC, _TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this node cannot be incremental, or None."""
    x = context.forms.get(node.inputs[0]) if node.inputs[0] else None
    if node.op_type in ("Identity", "Dropout"):
        return None
    if not isinstance(x, Delta):
        return "its input is not a spatial delta"
    if node.op_type == "Transpose":
        if tuple(node.attributes["perm"].as_ints()) != (_TO_NHWC if x.layout == "NCHW" else _TO_NCHW):
            return "it is not a change between NCHW and NHWC"
        return None
    if node.op_type == "Pad":
        return _check_pad(node, x, context)
    output = static_shape(node.outputs[0])
    if output != (1, x.channels * x.height * x.width):
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
        return make_delta(node, x.values, x.boxes, "NHWC" if x.layout == "NCHW" else "NCHW", x.live)
    if node.op_type != "Pad":
        return Flat(x, source)
    begins, _ = _pads(node, x, context)
    output = make_delta(node, x.values, x.boxes, x.layout)
    attributes = {"shift": begins, "output_shape": output.map_shape}
    boxes = context.emit("TranslateBoxes", [x.live], attributes, f"{name}.boxes")
    values = context.emit("IncrementalPad", [x.values, x.boxes, boxes], attributes, f"{name}.delta")
    return make_delta(node, values, boxes, x.layout)


def _check_pad(node: ir.Node, x: Delta, context: LoweringContext) -> str | None:
    mode = node.attributes["mode"].as_string() if "mode" in node.attributes else "constant"
    if mode != "constant":
        return f"Pad mode '{mode}' has no rule yet"
    if context.constant(node.inputs[1]) is None:
        return "its pads are not constant"
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        return "it pads chosen axes"
    _, others = _pads(node, x, context)
    return "it pads batch or channels" if any(others) else None


def _pads(node: ir.Node, x: Delta, context: LoweringContext) -> tuple[tuple[int, int], list[int]]:
    pads = context.constant(node.inputs[1])
    assert pads is not None
    axes = (2, 3) if x.layout == "NCHW" else (1, 2)
    flat = [int(pad) for pad in pads]
    others = [flat[axis] for axis in range(8) if axis % 4 not in axes]
    return (flat[axes[0]], flat[axes[1]]), others

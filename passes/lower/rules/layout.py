"""Transpose, Pad, Flatten, Reshape, Identity, Dropout: where a delta's rows stay what they are.

Rows are pixels with their channels whatever the layout, so a Transpose between NCHW and NHWC only
renames the axes; Flatten and Reshape to [1, C*H*W] wait, as a Flat form, for the Gemm that reads
them. Pads along a volume's slices are a window of one slice that reads beyond the ends.

Rows and columns change places by ops of their own:

    Y = X^T    ->    y_boxes = TransposeBoxes(x_boxes), DY = IncrementalTranspose(DX, x_boxes, y_boxes)
"""

from __future__ import annotations

import math

import onnx_ir as ir

from krypton_compile.contract.geometry import DepthWindow
from krypton_compile.contract.layouts import spatial_axes, swapped
from krypton_compile.passes.lower.context import LoweringContext, input_of
from krypton_compile.passes.lower.emit import emit_depth_gather
from krypton_compile.passes.lower.forms import Delta, Flat, Form, make_delta
from krypton_compile.passes.lower.reasons import why_reshaped
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.shapes import permutation, static_shape


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rules above."""
    source = context.value(node, 0)
    if node.op_type in ("Identity", "Dropout") and source in context.forms:
        return context.forms[source]
    x = context.delta(node, 0)
    if node.op_type == "Transpose":
        return _lower_transpose(node, context, x)
    if node.op_type == "Pad":
        return _lower_pad(node, context, x)
    output = static_shape(node.outputs[0])
    if output != (1, x.channels * math.prod(x.spatial)):
        raise Refused(why_reshaped(node, output, math.prod(x.spatial)))
    return Flat(x, source)


def _lower_transpose(node: ir.Node, context: LoweringContext, x: Delta) -> Delta:
    emitter, name, order = context.emitter, str(node.outputs[0].name), permutation(node)
    other = "".join(x.layout[axis] for axis in order)
    if other in (x.layout, swapped(x.layout)):
        return make_delta(node, x.values, x.boxes, other, x.live)
    turned = other.translate(str.maketrans("HW", "WH"))
    if turned not in (x.layout, swapped(x.layout)):
        raise Refused(f"it is not a change from {x.layout} to {swapped(x.layout)}, nor of rows and columns")
    boxes = emitter.emit("TransposeBoxes", [x.live], {}, f"{name}.boxes")
    inputs = [x.values, x.boxes, boxes]
    values = emitter.emit("IncrementalTranspose", inputs, {"input_shape": x.map_shape}, f"{name}.delta")
    return make_delta(node, values, boxes, turned)


def _lower_pad(node: ir.Node, context: LoweringContext, x: Delta) -> Delta:
    emitter, name = context.emitter, str(node.outputs[0].name)
    begins = _begin_pads(node, context, x)
    output = make_delta(node, x.values, x.boxes, x.layout)
    *front, top, left = (0, 0, *begins)[-max(2, len(begins)) :]
    along = DepthWindow(1, 1, sum(front), 1, x.depth, output.depth)
    rows, source, live = emit_depth_gather(emitter, x, along, name)
    attributes = {"shift": (top, left), "output_shape": output.map_shape}
    boxes = emitter.emit("TranslateBoxes", [live], attributes, f"{name}.boxes")
    values = emitter.emit("IncrementalPad", [rows, source, boxes], attributes, f"{name}.delta")
    return make_delta(node, values, boxes, x.layout)


def _begin_pads(node: ir.Node, context: LoweringContext, x: Delta) -> list[int]:
    """Pads before the spatial axes of a Pad with a constant, which pads nothing else."""
    mode = node.attributes.get_string("mode", "constant")
    if mode != "constant":
        raise Refused(f"its mode '{mode}' pads with pixels of the map")
    if context.depends_on_image(node, 2):
        raise Refused("what it pads with depends on the image")
    pads = [int(pad) for pad in context.constant(node, 1, "pads")]
    if input_of(node, 3) is not None:
        raise Refused("its axes are not constant")  # decompose has spelled others out
    axes, rank = spatial_axes(x.layout), len(x.layout)
    if any(pads[axis] for axis in range(2 * rank) if axis % rank not in axes):
        raise Refused("it pads batch or channels")
    return [pads[axis] for axis in axes]

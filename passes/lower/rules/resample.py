"""Resize, Upsample, mirrored Pad, Slice and Gather of pixels, which are linear along height and width.

    Y = Resize(X)    ->    y_boxes = ResampleBoxes(x_boxes)
                           DY = IncrementalResample(DX, x_boxes, y_boxes)

Each axis has a table (axis_table.py). A constant, as of extrapolation, has no delta.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.contract.layouts import spatial_axes
from krypton_compile.passes.lower.context import LoweringContext, input_of
from krypton_compile.passes.lower.forms import Delta, Form
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.lower.rules.axis_table import AxisTable, Constants, ask, emit_resampled, keep, select
from krypton_compile.passes.lower.rules.sliced_axes import chosen_places, sliced_axes
from krypton_compile.passes.shapes import static_shape

_MIRRORS = ("reflect", "edge", "wrap")
"""Modes of Pad, which NumPy calls the same."""

Tables = dict[int, AxisTable]
"""By axis; an axis without one stays as it is."""


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    x = context.delta(node, 0)
    if any(context.depends_on_image(node, index) for index in range(1, len(node.inputs))):
        raise Refused("its parameters depend on the image")
    tables = _TABLES[node.op_type](node, context, x)
    y_axis, x_axis = spatial_axes(x.layout)
    vertical, horizontal = tables.get(y_axis, keep(x.height)), tables.get(x_axis, keep(x.width))
    sizes = {0: 1, x.channel_axis: x.channels, y_axis: len(vertical.index), x_axis: len(horizontal.index)}
    if static_shape(node.outputs[0]) != tuple(sizes[axis] for axis in range(4)):
        raise Refused("it changes the channels or the batch")
    return emit_resampled(context.emitter, node, x, vertical, horizontal)


def _slice(node: ir.Node, context: LoweringContext, x: Delta) -> Tables:
    taken = sliced_axes(node, context)
    if set(taken) - set(spatial_axes(x.layout)):
        raise Refused("it changes the channels or the batch")
    if not all(map(len, taken.values())):
        raise Refused("it leaves nothing")
    return {axis: select(indices) for axis, indices in taken.items()}


def _gather(node: ir.Node, context: LoweringContext, x: Delta) -> Tables:
    axis = context.axis(node, x)
    if axis not in spatial_axes(x.layout):
        raise Refused("it chooses neither rows nor columns")
    return {axis: select(chosen_places(node, context, x.base_shape[axis]))}


def _pad(node: ir.Node, context: LoweringContext, x: Delta) -> Tables:
    mode = node.attributes.get_string("mode", "constant")
    if mode not in _MIRRORS:
        raise Refused(f"its mode '{mode}' does not pad with pixels of the map")
    pads = context.constant(node, 1, "pads")
    if input_of(node, 3) is not None:
        raise Refused("its axes are not constant")  # decompose has spelled others out
    tables = {}
    for axis in range(4):
        before, after = int(pads[axis]), int(pads[axis + 4])
        if before < 0 or after < 0:
            raise Refused("it has negative pads")
        if before or after:
            if axis not in spatial_axes(x.layout):
                raise Refused("it pads batch or channels")
            places = np.arange(x.base_shape[axis])
            tables[axis] = select(np.pad(places, (before, after), mode))  # type: ignore[call-overload]
    return tables


def _resize(node: ir.Node, context: LoweringContext, x: Delta) -> Tables:
    if node.attributes.get_string("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Refused("its scales follow from a policy")
    roi, scales, sizes = (context.optional_constant(node, index, "region, scales or sizes") for index in (1, 2, 3))
    by_scales = scales is not None and bool(scales.size)
    if not by_scales and (sizes is None or not sizes.size):
        raise Refused("its scales or sizes are not constant")
    named = [axis % 4 for axis in node.attributes.get_ints("axes", range(4))]
    axes = [axis for axis in spatial_axes(x.layout) if axis in named]
    shape, output = x.base_shape, static_shape(node.outputs[0])
    questions: list[tuple[int, Constants]] = []
    for axis in axes:
        where, region = named.index(axis), None
        if roi is not None and roi.size:
            region = np.array([0, 0, roi[where], 0, 1, 1, roi[where + len(named)], 1], roi.dtype)
        along: list[npt.NDArray[np.generic] | None] = [region]
        if scales is not None and by_scales:
            along.append(np.array([1, 1, scales[where], 1], np.float32))
        else:
            along += [None, np.array([shape[axis] + 1, 1, output[axis], 1], np.int64)]
        questions.append((shape[axis], along))
    plain = ir.node("Resize", [], {name: value for name, value in node.attributes.items() if name != "axes"})
    try:
        tables = ask(plain, questions, context.emitter.graph.opset_imports[""]) if questions else []
    except Exception as error:  # onnxruntime's errors have no common type of their own
        raise Refused(f"onnxruntime does not resize one axis this way: {error}") from error
    return dict(zip(axes, tables, strict=True))


_TABLES = {"Gather": _gather, "Pad": _pad, "Resize": _resize, "Slice": _slice}

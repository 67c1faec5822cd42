"""Resize, Upsample, mirrored Pad, Slice and Gather of pixels, CumSum, MatMul and sums along one spatial axis.

All are linear along height and width:

    Y = Resize(X)    ->    y_boxes = ResampleBoxes(x_boxes)
                           DY = IncrementalResample(DX, x_boxes, y_boxes)

Each axis has a table (axis_table.py). A constant, as of extrapolation, has no delta. A signal is a picture of one row,
and a volume's slices keep their places.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.contract.layouts import spatial_axes
from krypton_compile.passes.lower.context import LoweringContext, array_of, input_of
from krypton_compile.passes.lower.forms import Delta, Form
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.lower.rules.axis_table import (
    AxisTable,
    Constants,
    ask,
    emit_resampled,
    from_matrix,
    keep,
    select,
)
from krypton_compile.passes.lower.rules.global_pool import reduced_axes
from krypton_compile.passes.lower.rules.sliced_axes import chosen_places, sliced_axes
from krypton_compile.passes.shapes import static_shape

_MIRRORS = ("reflect", "edge", "wrap")
"""Modes of Pad, which NumPy calls the same."""

Tables = dict[int, AxisTable]
"""By axis; an axis without one stays as it is."""


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    moved = 1 if node.op_type == "MatMul" and array_of(input_of(node, 0)) is not None else 0
    x = context.delta(node, moved)
    if any(context.depends_on_image(node, index) for index in range(len(node.inputs)) if index != moved):
        raise Refused("its parameters depend on the image")
    tables = _TABLES[node.op_type](node, context, x)
    *along, x_axis = spatial_axes(x.layout)
    if set(tables) - {*along[-1:], x_axis}:
        raise Refused("it changes more than the height and width of a volume's slices")
    vertical = tables.get(along[-1], keep(x.height)) if along else keep(x.height)
    horizontal = tables.get(x_axis, keep(x.width))
    shape = list(x.base_shape)
    shape[x_axis] = len(horizontal.index)
    if along:
        shape[along[-1]] = len(vertical.index)
    if static_shape(node.outputs[0]) != tuple(shape):
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
    rank = len(x.layout)
    for axis in range(rank):
        before, after = int(pads[axis]), int(pads[axis + rank])
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
    rank = len(x.layout)
    named = [axis % rank for axis in node.attributes.get_ints("axes", range(rank))]
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


def _cumulate(node: ir.Node, context: LoweringContext, x: Delta) -> Tables:
    axis = int(context.constant(node, 1, "axes").reshape(())) % len(x.layout)
    if axis not in spatial_axes(x.layout):
        raise Refused("it sums along neither rows nor columns")
    size = x.base_shape[axis]
    before = np.tri(size, k=-node.attributes.get_int("exclusive", 0), dtype=np.float32)
    return {axis: from_matrix(before[::-1, ::-1] if node.attributes.get_int("reverse", 0) else before)}


def _multiply(node: ir.Node, context: LoweringContext, x: Delta) -> Tables:
    first = array_of(input_of(node, 0)) is not None
    matrix = context.constant(node, 0 if first else 1, "weights")
    axis = len(x.layout) - (2 if first else 1)
    if matrix.ndim != 2 or matrix.dtype != np.float32:
        raise Refused("its weights are not a constant float matrix")
    if axis not in spatial_axes(x.layout):
        raise Refused("it multiplies neither rows nor columns")
    return {axis: from_matrix(np.ascontiguousarray(matrix if first else matrix.T, np.float32))}


def _reduce(node: ir.Node, context: LoweringContext, x: Delta) -> Tables:
    axes = reduced_axes(node, context, len(x.layout))
    if set(axes) - set(spatial_axes(x.layout)):
        raise Refused("it reduces channels and pixels")
    weights = {axis: 1.0 if node.op_type == "ReduceSum" else 1.0 / x.base_shape[axis] for axis in axes}
    return {axis: from_matrix(np.full((1, x.base_shape[axis]), weights[axis], np.float32)) for axis in axes}


_TABLES = {
    "CumSum": _cumulate,
    "Gather": _gather,
    "MatMul": _multiply,
    "Pad": _pad,
    "ReduceMean": _reduce,
    "ReduceSum": _reduce,
    "Resize": _resize,
    "Slice": _slice,
}

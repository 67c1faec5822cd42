"""Resize, Upsample, mirrored Pad, Slice and Gather of pixels: linear along height and width, each by a table.

    Y = Resize(X)    ->    y_boxes = ResampleBoxes(x_boxes);  DY = IncrementalResample(DX, x_boxes, y_boxes)

The tables are those of axis_table.py. A constant, as of extrapolation, has no delta.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.contract.layouts import spatial_axes
from krypton_compile.passes.interface import static_shape
from krypton_compile.passes.lower.context import Delta, Form, LoweringContext
from krypton_compile.passes.lower.rules.axis_table import AxisTable, ask, emit_resampled, keep, select
from krypton_compile.passes.lower.rules.sliced_axes import sliced_axes

_MIRRORS = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}
Tables = tuple[AxisTable, AxisTable]


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this node cannot be incremental, or None."""
    x = context.forms.get(node.inputs[0]) if node.inputs[0] else None
    if not isinstance(x, Delta):
        return "its input is not a spatial delta"
    if any(value in context.forms for value in node.inputs[1:] if value is not None):
        return "its parameters depend on the image"
    found = _tables(node, context, x)
    return found if isinstance(found, str) else None


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    x = context.delta(node.inputs[0])
    tables = _tables(node, context, x)
    assert not isinstance(tables, str)
    return emit_resampled(node, context, x, *tables)


def _tables(node: ir.Node, context: LoweringContext, x: Delta) -> Tables | str:
    """Of height and width, or why there are none."""
    if node.op_type == "Slice":
        found = _slice(node, context)
    else:
        found = {"Gather": _gather, "Pad": _pad, "Resize": _resize}[node.op_type](node, context, x)
    if isinstance(found, str):
        return found
    y, x_axis = spatial_axes(x.layout)
    tables = found.get(y, keep(x.height)), found.get(x_axis, keep(x.width))
    output = static_shape(node.outputs[0])
    expected = {y: len(tables[0].index), x_axis: len(tables[1].index), x.channel_axis: x.channels, 0: 1}
    return tables if output == tuple(expected[axis] for axis in range(4)) else "it changes the channels or the batch"


def _slice(node: ir.Node, context: LoweringContext) -> dict[int, AxisTable] | str:
    taken = sliced_axes(node, context)
    if isinstance(taken, str):
        return taken
    if not all(map(len, taken.values())):
        return "it leaves nothing"
    return {axis: select(indices) for axis, indices in taken.items()}


def _gather(node: ir.Node, context: LoweringContext, x: Delta) -> dict[int, AxisTable] | str:
    axis = node.attributes["axis"].as_int() % 4 if "axis" in node.attributes else 0
    indices = context.constant(node.inputs[1])
    if indices is None or indices.ndim != 1:
        return "its indices are no constant list"
    if axis not in spatial_axes(x.layout):
        return "it chooses neither rows nor columns"
    size = static_shape(_required(node.inputs[0]))[axis]
    places: npt.NDArray[np.int64] = indices.astype(np.int64)
    if ((places < -size) | (places >= size)).any():
        return "its indices are out of range"
    return {axis: select(np.arange(size)[places])}


def _pad(node: ir.Node, context: LoweringContext, x: Delta) -> dict[int, AxisTable] | str:
    mode = node.attributes["mode"].as_string() if "mode" in node.attributes else "constant"
    if mode not in _MIRRORS:
        return f"Pad mode '{mode}' has no rule"
    pads = context.constant(node.inputs[1])
    if pads is None:
        return "its pads are not constant"
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        return "its axes are not constant"  # decompose has spelled others out
    sizes, tables = static_shape(_required(node.inputs[0])), {}
    for axis in range(4):
        before, after = int(pads[axis]), int(pads[axis + 4])
        if before < 0 or after < 0:
            return "it has negative pads"
        if before or after:
            if axis not in spatial_axes(x.layout):
                return "it pads batch or channels"
            tables[axis] = select(np.pad(np.arange(sizes[axis]), (before, after), _MIRRORS[mode]))  # type: ignore[call-overload]
    return tables


def _resize(node: ir.Node, context: LoweringContext, x: Delta) -> dict[int, AxisTable] | str:
    roi, scales, sizes = (
        context.constant(node.inputs[i]) if len(node.inputs) > i and node.inputs[i] is not None else None
        for i in (1, 2, 3)
    )
    policy = "keep_aspect_ratio_policy"
    if policy in node.attributes and node.attributes[policy].as_string() != "stretch":
        return "its scales follow from a policy"
    own = node.attributes["axes"].as_ints() if "axes" in node.attributes else range(4)
    axes = [axis % 4 for axis in own]
    given = scales if scales is not None and scales.size else sizes
    if given is None or not given.size:
        return "its scales or sizes are not constant"
    tables = {}
    shape, output = static_shape(_required(node.inputs[0])), static_shape(node.outputs[0])
    opset = context.graph.opset_imports[""]
    plain = ir.node("Resize", [None], {})
    for name, attribute in node.attributes.items():
        if name != "axes":
            plain.attributes.add(attribute)
    for axis in spatial_axes(x.layout):
        where = axes.index(axis) if axis in axes else None
        if where is None:
            continue
        along: list[npt.NDArray[np.generic] | None] = [None, None, None]
        if roi is not None and roi.size:
            along[0] = np.array([0, 0, roi[where], 0, 1, 1, roi[where + len(axes)], 1], roi.dtype)
        if given is scales:
            along[1] = np.array([1, 1, scales[where], 1], np.float32)
        else:
            along[2] = np.array([shape[axis] + 1, 1, output[axis], 1], np.int64)
        while along and along[-1] is None:
            along.pop()
        try:
            tables[axis] = ask("Resize", shape[axis], along, plain, opset)
        except Exception as error:  # onnxruntime's errors have no common type of their own
            return f"onnxruntime does not resize one axis this way: {error}"
    return tables


def _required(value: ir.Value | None) -> ir.Value:
    assert value is not None
    return value

"""Which values are maps that change where the image does, and the order of their axes; and which nodes leave that.

This is what the rules of `passes/lower/rules/` are likely to say, told roughly and before they are asked: a value that
is taken for a map here and made dense there costs nothing but work.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx_ir as ir

from krypton_compile.contract.layouts import channels_first, spatial_axes, swapped
from krypton_compile.passes.shapes import has_static_shape, permutation, static_shape
from krypton_compile.passes.simplify.views.elementwise import ELEMENTWISE
from krypton_compile.passes.simplify.views.reductions import named_axes

_FIRST = ("AveragePool BatchNormalization Conv ConvTranspose DepthToSpace LRN LpPool MaxPool SpaceToDepth").split()
_SAME = (
    "Concat CumSum Dropout Expand Gather Hardmax LayerNormalization LogSoftmax MatMul Pad Resize Slice Softmax Split "
    "Upsample"
).split()
_ALWAYS_ODD = (
    "Einsum Flatten GatherElements GatherND Reshape ScatterElements ScatterND Squeeze Tile Unsqueeze"
).split()


def layout_after(node: ir.Node, maps: Mapping[ir.Value, str]) -> str | None:
    """The layout of the node's outputs where they are maps as its inputs are, else None."""
    layouts = {maps.get(value) for value in node.inputs if value is not None and value.const_value is None}
    layout = layouts.pop() if len(layouts) == 1 else None
    if layout is None or not has_static_shape(node.outputs[0]) or len(static_shape(node.outputs[0])) != len(layout):
        return None
    if node.op_type == "Transpose":
        other = swapped(layout)
        return other if permutation(node) == tuple(layout.index(axis) for axis in other) else _turned(node, layout)
    if node.op_type in _FIRST:
        return layout if layout == channels_first(len(layout) - 2) else None
    if node.op_type.startswith("Reduce"):
        source = node.inputs[0]
        assert source is not None
        before, after = (
            [static_shape(value)[axis] for axis in spatial_axes(layout)] for value in (source, node.outputs[0])
        )
        linear = node.op_type in ("ReduceMean", "ReduceSum") and max(after) > 1
        return layout if linear or before == after else None
    return layout if node.op_type in _SAME or node.op_type in ELEMENTWISE else None


def is_map(value: ir.Value, layout: str) -> bool:
    """Whether the value may be a map of that layout: one image's, of more than one pixel."""
    if not has_static_shape(value) or len(static_shape(value)) != len(layout):
        return False
    shape = static_shape(value)
    return shape[0] == 1 and math.prod(shape[axis] for axis in spatial_axes(layout)) > 1


def is_odd(node: ir.Node, layout: str) -> bool:
    """Whether the node, which reads a map of that layout, gives its entries other axes, or may do nothing at all."""
    output = node.outputs[0]
    if node.op_type in _ALWAYS_ODD:
        return True
    if node.op_type == "Transpose":
        return layout_after(node, {value: layout for value in node.inputs if value is not None}) is None
    if node.op_type == "Gather":
        indices = node.inputs[1].const_value if node.inputs[1] is not None else None
        return indices is not None and len(indices.shape) != 1
    if node.op_type == "Expand":
        source = node.inputs[0]
        if source is None or not has_static_shape(source) or not has_static_shape(output):
            return False
        before, after, channel = static_shape(source), static_shape(output), layout.index("C")
        alone = len(before) == len(after) and all(
            before[axis] == after[axis] for axis in range(len(after)) if axis != channel
        )
        return not alone or before == after
    if node.op_type == "Concat":
        return node.attributes["axis"].as_int() % len(layout) in spatial_axes(layout)
    if node.op_type.startswith("Reduce"):
        kept = node.attributes.get_int("keepdims", 1)
        return not kept and named_axes(node, len(layout)) != list(spatial_axes(layout))
    return False


def _turned(node: ir.Node, layout: str) -> str | None:
    """The layout after rows and columns have changed places."""
    order = permutation(node)
    channel = order.index(layout.index("C"))
    if order[0] != 0 or channel not in (1, len(layout) - 1):
        return None
    first = channels_first(len(layout) - 2)
    return first if channel == 1 else swapped(first)

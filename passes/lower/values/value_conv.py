"""Convolutions on T' itself, where the delta of what they read has lost its digits.

    Y = Conv(X, W, b)    ->    h_boxes = all that outputs in y_boxes read
    X' = RowValues(h_boxes, X0, DX);  Y' = IncrementalConv(X', h_boxes, y_boxes, W) + b

The op that convolves a delta, zero beside its box, convolves values as well if the box holds all that is read. It
costs all taps of the outputs in the boxes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.passes.lower.context import LoweringContext, input_of
from krypton_compile.passes.lower.emit import emit_window_boxes, window_attributes
from krypton_compile.passes.lower.forms import Ragged, Rows, volume_shape
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.lower.values.pixel_local import rows_of
from krypton_compile.passes.shapes import static_shape
from krypton_compile.passes.window_of import Axis, read_axes, slice_window


def is_depthwise(node: ir.Node) -> bool:
    """Whether a node is a convolution of one filter a channel, of every pixel."""
    weight = input_of(node, 1)
    if node.op_type != "Conv" or weight is None or weight.const_value is None:
        return False
    filters, per_group = static_shape(weight)[:2]
    same = node.attributes.get_int("group", 1) == filters and per_group == 1
    return same and all(stride == 1 for stride in node.attributes.get_ints("strides", ()))


def lower_value_conv(node: ir.Node, context: LoweringContext) -> Rows:
    """Compute the convolution's T' on boxes.

    Raises:
        Refused: if the node is no convolution of a picture or signal, or its weights depend on the image.
    """
    value, weight = context.value(node, 0), context.weight(node, 1, "weights")
    x = context.forms.get(value)
    if not isinstance(x, Ragged) or not x.channels_first or len(x.spatial) > 2:
        raise Refused("it is no convolution of a map")
    if context.depends_on_image(node, 1) or context.depends_on_image(node, 2):
        raise Refused("its weights or bias depend on the image")
    emitter, output = context.emitter, node.outputs[0]
    name = str(output.name)
    axes = read_axes(node, static_shape(weight)[2:], x.spatial, static_shape(output)[2:])
    window = slice_window(axes)
    boxes = emit_window_boxes(emitter, x.live, window, name)
    tables = [emitter.initializer(f"{name}.readers", _readers(axis)) for axis in axes]
    if len(tables) == 1:
        tables.insert(0, emitter.initializer(f"{name}.one_row", np.zeros((1, 1), np.int64)))
    halo = emitter.emit("ResampleBoxes", [boxes, *tables], {"input_shape": window.output_shape}, f"{name}.halo")
    rows = rows_of(value, halo, context)
    attributes: dict[str, int | Sequence[int]] = {
        **window_attributes(window),
        "group": node.attributes.get_int("group", 1),
    }
    values = emitter.emit("IncrementalConv", [rows.values, halo, boxes, weight], attributes, f"{name}.rows.unbiased")
    bias = input_of(node, 2)
    if bias is not None:
        values = emitter.emit("Add", [values, bias], {}, f"{name}.rows", domain="")
    channels, depth, height, width = volume_shape(static_shape(output), x.layout)
    changed = _all_changed(values, name, context)
    return Rows(values, boxes, boxes, x.layout, channels, height, width, depth, changed=changed)


def _readers(axis: Axis) -> npt.NDArray[np.int64]:
    """For each input of an axis the outputs that read it, [inputs, readers]; -1 beside them."""
    readers: list[list[int]] = [[] for _ in range(axis.size)]
    for output in range(axis.output):
        for tap in range(axis.kernel):
            place = output * axis.stride - axis.pad + tap * axis.dilation
            if 0 <= place < axis.size:
                readers[place].append(output)
    table = np.full((axis.size, max(1, *(len(each) for each in readers))), -1, np.int64)
    for place, outputs in enumerate(readers):
        table[place, : len(outputs)] = outputs
    return table


def _all_changed(values: ir.Value, name: str, context: LoweringContext) -> ir.Value:
    """True for each row."""
    emitter = context.emitter
    bounds = [
        emitter.initializer(f"{name}.rows.{part}", np.array([at], np.int64))
        for part, at in (("first", 0), ("second", 1))
    ]
    shape = emitter.emit("Shape", [values], {}, f"{name}.rows.shape", domain="")
    count = emitter.emit("Slice", [shape, *bounds], {}, f"{name}.rows.count", domain="")
    made = emitter.emit_node("ConstantOfShape", [count], {}, f"{name}.changed", domain="")
    made.attributes.add(ir.AttrTensor("value", ir.tensor(np.array([True]))))
    return made.outputs[0]

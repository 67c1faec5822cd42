"""What a node of the body makes of boxes, by the rules of :mod:`krypton_compile.contract.geometry`.

Zeros are not known here, so ShrinkBoxes counts as the identity.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Boxes, DepthWindow, Window


def apply_box_rule(node: ir.Node, boxes: Mapping[ir.Value, Boxes]) -> Boxes | None:
    """Compute the boxes that a node makes of the boxes of its inputs; None if it makes none."""
    inputs = [boxes[value] for value in node.inputs if value is not None and value in boxes]
    if node.op_type == "WindowBoxes":
        return geometry.window_boxes(inputs[0], read_window(node))
    if node.op_type == "UnionBoxes":
        return geometry.union_boxes(inputs)
    if node.op_type == "TransposeBoxes":
        return geometry.transpose_boxes(inputs[0])
    if node.op_type == "TranslateBoxes":
        shift, shape = node.attributes["shift"].as_ints(), node.attributes["output_shape"].as_ints()
        return geometry.translate_boxes(inputs[0], (shift[0], shift[1]), (shape[0], shape[1]))
    if node.op_type == "SliceBoxes":
        offsets = geometry.row_offsets(inputs[0])[:-1]
        return geometry.slice_boxes(inputs[0], offsets, node.attributes["image_shape"].as_ints())[0]
    if node.op_type == "DepthBoxes":
        return geometry.depth_boxes(inputs[0], read_depth(node))
    if node.op_type == "ResampleBoxes":
        tables = [value.const_value.numpy() for value in node.inputs[1:] if value is not None and value.const_value]
        return geometry.resample_boxes(inputs[0], tables[0].astype(np.int64), tables[1].astype(np.int64))
    return inputs[0] if node.op_type == "ShrinkBoxes" else None


def read_window(node: ir.Node) -> Window:
    """Read the window of an incremental op off its attributes."""
    pair = {
        name: (int(values[0]), int(values[1]))
        for name in ("kernel_shape", "strides", "pads", "dilations", "input_shape", "output_shape")
        for values in [node.attributes[name].as_ints()]
    }
    return Window(
        pair["kernel_shape"],
        pair["strides"],
        pair["pads"],
        pair["dilations"],
        pair["input_shape"],
        pair["output_shape"],
    )


def read_depth(node: ir.Node) -> DepthWindow:
    """Read the window along slices of an incremental op off its attribute."""
    kernel, stride, pad, _, dilation, before, after = node.attributes["depth"].as_ints()
    return DepthWindow(kernel, stride, pad, dilation, before, after)

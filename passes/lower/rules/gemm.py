"""Gemm and MatMul after a Flatten: the box's columns only. MatMul of a map whose channels come last: a 1x1 convolution.

    Y = Flatten(X) W + b    ->    Y' = Y0 + IncrementalGemm(DX, boxes, W),  W with rows in (y, x, c) order
    Y = X W, W [C, M]       ->    DY = IncrementalConv(DX, boxes, boxes, W^T)

The base value is computed by the same op from the whole map, so that W, up to 411 MB in a VGG16, is
stored once and in one order, and onnxruntime makes no packed copy of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from krypton_compile.contract.geometry import Window
from krypton_compile.passes.lower.context import Delta, Flat, Form, LoweringContext, make_delta, window_attributes
from krypton_compile.passes.lower.rules.global_pool import add_base


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this product cannot be incremental, or None."""
    x = context.forms.get(node.inputs[0]) if node.inputs[0] else None
    if isinstance(x, Delta):
        return _check_pixels(node, context, x)
    if not isinstance(x, Flat):
        return "its input is not a flattened map"
    weight = context.constant(node.inputs[1])
    if weight is None or weight.ndim != 2 or weight.dtype != np.float32:
        return "its weights are not a constant float matrix"
    rows = weight.shape[1 if _is_transposed(node) else 0]
    if rows != math.prod(x.delta.spatial) * x.delta.channels:
        return f"its weights have {rows} rows for {math.prod(x.delta.spatial) * x.delta.channels} numbers"
    if node.op_type == "Gemm":
        if "transA" in node.attributes and node.attributes["transA"].as_int():
            return "it has transA"
        if len(node.inputs) > 2 and node.inputs[2] is not None and context.constant(node.inputs[2]) is None:
            return "its bias is not constant"
    return None


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    flat, name = context.forms[_required(node.inputs[0])], str(node.outputs[0].name)
    if isinstance(flat, Delta):
        return _lower_pixels(node, context, flat)
    assert isinstance(flat, Flat)
    x = flat.delta
    weight = _pixel_major(node, context, flat)
    attributes = {"input_shape": x.full_shape}
    base = _replace_base(node, context, flat, weight)
    delta = context.emit("IncrementalGemm", [x.values, x.boxes, weight], attributes, f"{name}.delta")
    return add_base(context, delta, base)


def _check_pixels(node: ir.Node, context: LoweringContext, x: Delta) -> str | None:
    weight = context.constant(node.inputs[1])
    if node.op_type != "MatMul" or x.channels_first:
        return "its input is not a flattened map"
    if weight is None or weight.ndim != 2 or weight.dtype != np.float32:
        return "its weights are not a constant float matrix"
    return None


def _lower_pixels(node: ir.Node, context: LoweringContext, x: Delta) -> Form:
    name, matrix = str(node.outputs[0].name), context.constant(node.inputs[1])
    assert matrix is not None
    window = Window((1, 1), (1, 1), (0, 0), (1, 1), x.map_shape, x.map_shape)
    weight = context.initializer(f"{name}.filters", np.ascontiguousarray(matrix.T)[:, :, None, None])
    attributes: dict[str, int | Sequence[int]] = {**window_attributes(window), "group": 1}
    if x.depth > 1:
        attributes["slices"] = x.depth
    values = context.emit("IncrementalConv", [x.values, x.boxes, x.live, weight], attributes, f"{name}.delta")
    return make_delta(node, values, x.live, x.layout)


def _is_transposed(node: ir.Node) -> bool:
    return "transB" in node.attributes and bool(node.attributes["transB"].as_int())


def _pixel_major(node: ir.Node, context: LoweringContext, flat: Flat) -> ir.Value:
    """W as [H*W*C, N]; the original initializer where it is that already."""
    value = _required(node.inputs[1])
    array = context.constant(value)
    assert array is not None
    transposed = _is_transposed(node)
    x = flat.delta
    single = not x.channels_first or math.prod(x.spatial) == 1 or x.channels == 1
    if single and not transposed:
        return value
    matrix = array.T if transposed else array
    if not single:
        matrix = matrix.reshape(x.channels, math.prod(x.spatial), -1).transpose(1, 0, 2)
    columns = matrix.shape[-1]
    return context.initializer(f"{value.name}.pixel_major", np.ascontiguousarray(matrix.reshape(-1, columns)))


def _replace_base(node: ir.Node, context: LoweringContext, flat: Flat, weight: ir.Value) -> ir.Value:
    """The base graph's own product, by the same op and the same W: one box, the whole map."""
    x, name = flat.delta, str(node.outputs[0].name)
    rows = context.initializer(f"{name}.rows", np.array([-1, x.channels], np.int64))
    whole = context.initializer(f"{name}.whole_map", np.array([[0, 0, x.height, x.width]] * x.depth, np.int32))
    pixels = context.emit_base(
        "Reshape", [context.base_map(flat.base, x.layout), rows], {}, f"{name}.pixels", domain=""
    )
    attributes = {"input_shape": x.full_shape}
    product = context.emit_base("IncrementalGemm", [pixels, whole, weight], attributes, f"{name}.product")
    bias = node.inputs[2] if node.op_type == "Gemm" and len(node.inputs) > 2 else None
    new = product if bias is None else context.emit_base("Add", [product, bias], {}, f"{name}.base", domain="")
    context.replace_base(node, new)
    return new


def _required(value: ir.Value | None) -> ir.Value:
    assert value is not None
    return value

"""Gemm and MatMul: behind a Flatten, the box's columns only; of each pixel's channels, a 1x1 convolution.

    Y = Flatten(X) W + b    ->    Y' = Y0 + IncrementalGemm(DX, boxes, W)
    Y = X W, W [C, M]       ->    DY = IncrementalConv(DX, boxes, boxes, W^T)

W has its rows in (y, x, c) order. The base value is computed by the same op from the whole map, so
that W, up to 411 MB in a VGG16, is stored once and in one order, and onnxruntime makes no packed copy
of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.contract.geometry import Window
from krypton_compile.passes.lower.context import LoweringContext, input_of
from krypton_compile.passes.lower.emit import window_attributes
from krypton_compile.passes.lower.forms import Delta, Flat, Form, make_delta
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.lower.rules.global_pool import add_base


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    form = context.forms.get(context.value(node, 0))
    if isinstance(form, Delta) and node.op_type == "MatMul" and not form.channels_first:
        return _lower_pixels(node, context, form)
    if not isinstance(form, Flat):
        raise Refused("its input is not a flattened map")
    return _lower_flat(node, context, form)


def _lower_flat(node: ir.Node, context: LoweringContext, flat: Flat) -> Form:
    """A product behind a Flatten: T' itself."""
    x, emitter, name = flat.delta, context.emitter, str(node.outputs[0].name)
    matrix, transposed = _matrix(node, context), bool(node.attributes.get_int("transB", 0))
    rows, numbers = matrix.shape[1 if transposed else 0], math.prod(x.spatial) * x.channels
    if rows != numbers:
        raise Refused(f"its weights have {rows} rows for {numbers} numbers")
    if node.attributes.get_int("transA", 0):
        raise Refused("it transposes its input (transA)")
    context.optional_constant(node, 2, "biases")
    weight = _pixel_major(node, context, x, matrix.T if transposed else matrix)
    base = _replace_base(node, context, flat, weight)
    delta = emitter.emit("IncrementalGemm", [x.values, x.boxes, weight], {"input_shape": x.full_shape}, f"{name}.delta")
    return add_base(emitter, delta, base)


def _lower_pixels(node: ir.Node, context: LoweringContext, x: Delta) -> Form:
    """A product of each pixel's channels: a convolution of one tap."""
    emitter, name, matrix = context.emitter, str(node.outputs[0].name), _matrix(node, context)
    window = Window((1, 1), (1, 1), (0, 0), (1, 1), x.map_shape, x.map_shape)
    weight = emitter.initializer(f"{name}.filters", np.ascontiguousarray(matrix.T)[:, :, None, None])
    attributes: dict[str, int | Sequence[int]] = {**window_attributes(window), "group": 1}
    if x.depth > 1:
        attributes["slices"] = x.depth
    values = emitter.emit("IncrementalConv", [x.values, x.boxes, x.live, weight], attributes, f"{name}.delta")
    return make_delta(node, values, x.live, x.layout)


def _matrix(node: ir.Node, context: LoweringContext) -> npt.NDArray[np.generic]:
    matrix = context.constant(node, 1, "weights")
    if matrix.ndim != 2 or matrix.dtype != np.float32:
        raise Refused("its weights are not a constant float matrix")
    return matrix


def _pixel_major(node: ir.Node, context: LoweringContext, x: Delta, matrix: npt.NDArray[np.generic]) -> ir.Value:
    """W as [H*W*C, N], of ``matrix`` [K, N]; the original initializer where it is that already."""
    value = context.value(node, 1)
    single = not x.channels_first or math.prod(x.spatial) == 1 or x.channels == 1
    if single and not node.attributes.get_int("transB", 0):
        return value
    if not single:
        matrix = matrix.reshape(x.channels, math.prod(x.spatial), -1).transpose(1, 0, 2)
    columns = matrix.shape[-1]
    return context.emitter.initializer(f"{value.name}.pixel_major", np.ascontiguousarray(matrix.reshape(-1, columns)))


def _replace_base(node: ir.Node, context: LoweringContext, flat: Flat, weight: ir.Value) -> ir.Value:
    """The base graph's own product, by the same op and the same W: one box, the whole map."""
    x, emitter, name = flat.delta, context.emitter, str(node.outputs[0].name)
    rows = emitter.initializer(f"{name}.rows", np.array([-1, x.channels], np.int64))
    whole = emitter.initializer(f"{name}.whole_map", np.array([[0, 0, x.height, x.width]] * x.depth, np.int32))
    pixels = emitter.emit_base(
        "Reshape", [emitter.base_map(flat.base, x.layout), rows], {}, f"{name}.pixels", domain=""
    )
    attributes = {"input_shape": x.full_shape}
    product = emitter.emit_base("IncrementalGemm", [pixels, whole, weight], attributes, f"{name}.product")
    bias = input_of(node, 2)
    new = product if bias is None else emitter.emit_base("Add", [product, bias], {}, f"{name}.base", domain="")
    emitter.replace_base(node, new)
    return new

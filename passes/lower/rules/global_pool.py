"""GlobalAveragePool, GlobalMaxPool; ReduceMean, ReduceSum, ReduceMax of all spatial axes.

    Y = GlobalAveragePool(X)    ->    Y' = Y0 + sum over the box of DX / (H * W)
    Y = GlobalMaxPool(X)        ->    Y' = Y0 + (max of X0 + DX - max of X0)

Here the spatial part of a network ends: the result is small, so it is carried on as T' itself.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from krypton_compile.contract.layouts import spatial_axes
from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.emit import Emitter
from krypton_compile.passes.lower.forms import Dense, Form
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.shapes import static_shape


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    emitter, output = context.emitter, node.outputs[0]
    if node.op_type in ("GlobalAveragePool", "GlobalMaxPool"):
        x = context.delta_of_channels_first(node)
    else:
        x = context.delta(node)
        spatial = list(spatial_axes(x.layout))
        if reduced_axes(node, context, len(x.layout)) != spatial:
            raise Refused(f"it does not reduce the spatial axes {spatial} alone")
    name = f"{output.name}.delta"
    if node.op_type in ("GlobalMaxPool", "ReduceMax"):
        inputs = [x.values, x.boxes, context.base_map(node, 0)]
        return add_base(emitter, emitter.emit("IncrementalGlobalMaxPool", inputs, {}, name), output)
    delta = emitter.emit("IncrementalGlobalAveragePool", [x.values, x.boxes], {"input_shape": x.full_shape}, name)
    if node.op_type == "ReduceSum":
        pixels = emitter.initializer(f"{output.name}.pixels", np.array(math.prod(x.full_shape), np.float32))
        delta = emitter.emit("Mul", [delta, pixels], {}, f"{name}.sum", domain="")
    return add_base(emitter, delta, output)


def add_base(emitter: Emitter, delta: ir.Value, output: ir.Value) -> Dense:
    """T' = T0 + D for D of shape [B, N], in the shape of ``output`` with B in front."""
    shape = static_shape(output)
    if len(shape) != 2:
        target = emitter.initializer(f"{output.name}.shape", np.array([-1, *shape[1:]], np.int64))
        delta = emitter.emit("Reshape", [delta, target], {}, f"{output.name}.delta.shaped", domain="")
    return Dense(emitter.emit("Add", [delta, output], {}, f"{output.name}.occluded", domain=""))


def reduced_axes(node: ir.Node, context: LoweringContext, rank: int) -> list[int]:
    """The axes that a reduction of a tensor of that rank names, in order; all where it names none.

    Raises:
        Refused: if the axes are not constant.
    """
    array = context.optional_constant(node, 1, "axes")
    named = node.attributes.get_ints("axes", () if array is None else array.reshape(-1).tolist())
    if not named and not node.attributes.get_int("noop_with_empty_axes", 0):
        return list(range(rank))
    return sorted(int(axis) % rank for axis in named)

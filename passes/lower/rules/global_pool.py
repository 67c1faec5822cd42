"""GlobalAveragePool, GlobalMaxPool; ReduceMean, ReduceSum, ReduceMax of all spatial axes: the end of the spatial part.

    Y = GlobalAveragePool(X)    ->    Y' = Y0 + sum over the box of DX / (H * W)
    Y = GlobalMaxPool(X)        ->    Y' = Y0 + (max of X0 + DX - max of X0)

The result is small, so it is carried on as T' itself.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from krypton_compile.contract.layouts import spatial_axes
from krypton_compile.passes.interface import static_shape
from krypton_compile.passes.lower.context import Delta, Dense, Form, LoweringContext


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this reduction cannot be incremental, or None."""
    x = context.forms.get(node.inputs[0]) if node.inputs[0] else None
    if not isinstance(x, Delta):
        return "its input is not a spatial delta"
    if node.op_type in ("GlobalAveragePool", "GlobalMaxPool"):
        return None if x.channels_first else f"its input is {x.layout}"
    axes, expected = reduced_axes(node, context, len(x.layout)), list(spatial_axes(x.layout))
    return None if axes == expected else f"it reduces axes {axes}, not {expected}"


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    source, output = node.inputs[0], node.outputs[0]
    assert source is not None
    x, name = context.delta(source), f"{output.name}.delta"
    if node.op_type in ("GlobalMaxPool", "ReduceMax"):
        inputs = [x.values, x.boxes, context.base_map(source, x.layout)]
        return add_base(context, context.emit("IncrementalGlobalMaxPool", inputs, {}, name), output)
    delta = context.emit("IncrementalGlobalAveragePool", [x.values, x.boxes], {"input_shape": x.full_shape}, name)
    if node.op_type == "ReduceSum":
        pixels = context.initializer(f"{output.name}.pixels", np.array(math.prod(x.full_shape), np.float32))
        delta = context.emit("Mul", [delta, pixels], {}, f"{name}.sum", domain="")
    return add_base(context, delta, output)


def add_base(context: LoweringContext, delta: ir.Value, output: ir.Value) -> Dense:
    """T' = T0 + D for D of shape [B, N], in the shape of ``output`` with B in front."""
    shape = static_shape(output)
    if len(shape) != 2:
        target = context.initializer(f"{output.name}.shape", np.array([-1, *shape[1:]], np.int64))
        delta = context.emit("Reshape", [delta, target], {}, f"{output.name}.delta.shaped", domain="")
    return Dense(context.emit("Add", [delta, output], {}, f"{output.name}.occluded", domain=""))


def reduced_axes(node: ir.Node, context: LoweringContext, rank: int) -> list[int] | None:
    """The axes that a reduction of a tensor names, in order; None where it names none that is constant."""
    if "axes" in node.attributes:
        return sorted(axis % rank for axis in node.attributes["axes"].as_ints())
    array = context.constant(node.inputs[1]) if len(node.inputs) > 1 else None
    return None if array is None else sorted(int(axis) % rank for axis in array)

"""GlobalAveragePool and ReduceMean over H and W: the end of the spatial part.

    Y = GlobalAveragePool(X)    ->    Y' = Y0 + sum over the box of DX / (H * W)

The result is small, so it is carried on as T' itself.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from krypton_compile.interface import static_shape
from krypton_compile.passes.lowering import Delta, Dense, Form, LoweringContext


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this reduction cannot be incremental, or None."""
    x = context.forms.get(node.inputs[0]) if node.inputs[0] else None
    if not isinstance(x, Delta):
        return "its input is not a spatial delta"
    if node.op_type == "GlobalAveragePool":
        return None if x.layout == "NCHW" else f"its input is {x.layout}"
    axes = _axes(node, context)
    expected = [2, 3] if x.layout == "NCHW" else [1, 2]
    return None if axes == expected else f"it reduces axes {axes}, not H and W"


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    x, output = context.delta(node.inputs[0]), node.outputs[0]
    attributes = {"input_shape": x.map_shape}
    delta = context.emit("IncrementalGlobalAveragePool", [x.values, x.boxes], attributes, f"{output.name}.delta")
    return add_base(context, delta, output)


def add_base(context: LoweringContext, delta: ir.Value, output: ir.Value) -> Dense:
    """T' = T0 + D for D of shape [B, N], in the shape of ``output`` with B in front."""
    shape = static_shape(output)
    if len(shape) != 2:
        target = context.initializer(f"{output.name}.shape", np.array([-1, *shape[1:]], np.int64))
        delta = context.emit("Reshape", [delta, target], {}, f"{output.name}.delta.shaped", domain="")
    return Dense(context.emit("Add", [delta, output], {}, f"{output.name}.occluded", domain=""))


def _axes(node: ir.Node, context: LoweringContext) -> list[int] | None:
    if "axes" in node.attributes:
        return sorted(axis % 4 for axis in node.attributes["axes"].as_ints())
    array = context.constant(node.inputs[1]) if len(node.inputs) > 1 else None
    return None if array is None else sorted(int(axis) % 4 for axis in array)

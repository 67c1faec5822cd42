"""Relu, Clip, and Max and Min with a number, by branch.

    Y = Clip(Z, lo, hi)    ->    DY = min(max(DZ + (Z0 - c), lo - c), hi - c),   c = clip(Z0)

Where Z0 and Z0 + DZ lie in one linear piece this is exactly DZ or 0, so errors scale with the
delta. The zeros are exact, and the boxes shrink to what is left.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.forms import Form, make_delta
from krypton_compile.passes.lower.refused import Refused


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    source, low, high = _operands(node, context)
    x, name = context.delta(node, source), str(node.outputs[0].name)
    bounds = _bound(node, context, low, -math.inf), _bound(node, context, high, math.inf)
    if node.op_type == "Relu":
        bounds = 0.0, math.inf
    if not bounds[0] <= bounds[1]:
        raise Refused(f"its bounds {bounds[0]} and {bounds[1]} are not in order")
    inputs = [x.values, x.boxes, context.base_map(node, source)]
    attributes = {"min": bounds[0], "max": bounds[1]}
    values = context.emitter.emit("IncrementalClip", inputs, attributes, f"{name}.delta")
    return make_delta(node, values, x.boxes, x.layout, context.emitter.shrink(values, x.boxes, name))


def _operands(node: ir.Node, context: LoweringContext) -> tuple[int, int | None, int | None]:
    """Which inputs are clipped, the lower and the upper bound."""
    if node.op_type in ("Relu", "Clip"):
        return 0, 1, 2
    if len(node.inputs) > 2:
        raise Refused(f"it has {len(node.inputs)} operands, not two")
    source, bound = (0, 1) if context.depends_on_image(node, 0) else (1, 0)
    if context.depends_on_image(node, bound):
        context.delta(node, bound)
        raise Refused("both of its operands depend on the image")
    return (source, bound, None) if node.op_type == "Max" else (source, None, bound)


def _bound(node: ir.Node, context: LoweringContext, index: int | None, default: float) -> float:
    array = None if index is None else context.optional_constant(node, index, "bounds")
    if array is None:
        return default
    if array.size != 1:
        raise Refused("its bounds are not constant numbers")
    return float(array.reshape(-1)[0])

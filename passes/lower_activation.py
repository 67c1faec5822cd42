"""Relu and Clip, by branch.

    Y = Clip(Z, lo, hi)    ->    DY = min(max(DZ + (Z0 - c), lo - c), hi - c),   c = clip(Z0)

Where Z0 and Z0 + DZ lie in one linear piece this is exactly DZ or 0, so errors scale with the delta.
The zeros are exact, and the boxes shrink to what is left.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from krypton_compile.passes.lowering import Delta, Form, LoweringContext, make_delta


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this activation cannot be incremental, or None."""
    x = context.forms.get(node.inputs[0]) if node.inputs[0] else None
    if not isinstance(x, Delta):
        return "its input is not a spatial delta"
    for bound in node.inputs[1:]:
        if bound is not None and bound.const_value is None:
            return "its bounds are not constant"
    low, high = _bounds(node, context)
    if not low <= high:
        return f"its bounds {low} and {high} are not in order"
    return None


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    x, name, source = context.delta(node.inputs[0]), str(node.outputs[0].name), node.inputs[0]
    assert source is not None
    low, high = _bounds(node, context)
    values = context.emit(
        "IncrementalClip",
        [x.values, x.boxes, context.base_map(source, x.layout)],
        {"min": low, "max": high},
        f"{name}.delta",
    )
    return make_delta(node, values, x.boxes, x.layout, context.shrink(values, x.boxes, name))


def _bounds(node: ir.Node, context: LoweringContext) -> tuple[float, float]:
    if node.op_type == "Relu":
        return 0.0, math.inf
    bounds = [-math.inf, math.inf]
    for index, value in enumerate(node.inputs[1:3]):
        array = context.constant(value)
        if array is not None:
            bounds[index] = float(array.reshape(-1)[0])
    return bounds[0], bounds[1]

"""Relu, Clip, and Max and Min with a number, by branch.

    Y = Clip(Z, lo, hi)    ->    DY = min(max(DZ + (Z0 - c), lo - c), hi - c),   c = clip(Z0)

Where Z0 and Z0 + DZ lie in one linear piece this is exactly DZ or 0, so errors scale with the delta.
The zeros are exact, and the boxes shrink to what is left.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from krypton_compile.passes.lower.context import Delta, Form, LoweringContext, make_delta


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this activation cannot be incremental, or None."""
    source, bounds = _operands(node, context)
    if not isinstance(context.forms.get(source), Delta):
        return "its input is not a spatial delta"
    for bound in bounds:
        array = context.constant(bound)
        if bound is not None and (array is None or array.size != 1):
            return "its bounds are not constant numbers"
    low, high = _bounds(node, context)
    if not low <= high:
        return f"its bounds {low} and {high} are not in order"
    return None


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    source, _ = _operands(node, context)
    x, name = context.delta(source), str(node.outputs[0].name)
    low, high = _bounds(node, context)
    values = context.emit(
        "IncrementalClip",
        [x.values, x.boxes, context.base_map(source, x.layout)],
        {"min": low, "max": high},
        f"{name}.delta",
    )
    return make_delta(node, values, x.boxes, x.layout, context.shrink(values, x.boxes, name))


def _operands(node: ir.Node, context: LoweringContext) -> tuple[ir.Value, list[ir.Value | None]]:
    """What is clipped, and the values of the lower and upper bound, as far as there are any."""
    first, *others = node.inputs
    assert first is not None
    if node.op_type in ("Relu", "Clip"):
        return first, others[:2]
    if first not in context.forms and len(others) == 1 and others[0] is not None:
        first, others = others[0], [first]
    return first, others if node.op_type == "Max" else [None, *others]


def _bounds(node: ir.Node, context: LoweringContext) -> tuple[float, float]:
    if node.op_type == "Relu":
        return 0.0, math.inf
    bounds = [-math.inf, math.inf]
    for index, value in enumerate(_operands(node, context)[1][:2]):
        array = context.constant(value)
        if array is not None:
            bounds[index] = float(array.reshape(-1)[0])
    return bounds[0], bounds[1]

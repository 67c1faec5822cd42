"""Functions of a number that are neither Relu nor Clip: Sigmoid, Tanh, LeakyRelu, HardSwish, Gelu and their like.

    Y = f(Z)                   ->   DY = f(Z0 + DZ) - f(Z0)
    Y = Z * Sigmoid(Z)         ->   the same of Swish (lower_elementwise)
    Y = -Z                     ->   DY = -DZ
    Y = PRelu(Z, slope)        ->   DY = slope * DZ + (1 - slope) * DR,   R = Relu(Z), by branch

A function keeps zeros of the delta and makes none, so the boxes stay.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.lower.context import Delta, Form, LoweringContext, emit_scaled, make_delta, per_channel

Parameters = dict[str, str | float]


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this function cannot be incremental, or None."""
    x = context.forms.get(node.inputs[0]) if node.inputs[0] else None
    if not isinstance(x, Delta):
        return "its input is not a spatial delta"
    if node.op_type == "PRelu":
        slopes = per_channel(context.constant(node.inputs[1]), x)
        return None if slopes is not None else "its slope is neither a number nor one value a channel"
    if node.op_type in ("HardSigmoid", "Celu") and _parameters(node)["alpha"] == 0:
        return "its alpha is 0"
    return None


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rules above."""
    x = context.delta(node.inputs[0])
    if node.op_type == "Neg":
        return emit_scaled(node, context, x, np.full(x.channels, -1.0))
    if node.op_type == "PRelu":
        return _lower_prelu(node, context, x)
    return emit_function(node, context, node.inputs[0], _parameters(node))


def emit_function(node: ir.Node, context: LoweringContext, source: ir.Value | None, parameters: Parameters) -> Delta:
    """The delta of a function of ``source``, the node's output."""
    assert source is not None
    x = context.delta(source)
    inputs = [x.values, x.boxes, context.base_map(source, x.layout)]
    values = context.emit("IncrementalActivation", inputs, parameters, f"{node.outputs[0].name}.delta")
    return make_delta(node, values, x.boxes, x.layout, x.live)


def _lower_prelu(node: ir.Node, context: LoweringContext, x: Delta) -> Form:
    name, source, slopes = str(node.outputs[0].name), node.inputs[0], per_channel(context.constant(node.inputs[1]), x)
    assert source is not None and slopes is not None
    bounds = {"min": 0.0, "max": float("inf")}
    clipped = context.emit(
        "IncrementalClip", [x.values, x.boxes, context.base_map(source, x.layout)], bounds, f"{name}.relu"
    )
    parts = []
    for part, values, scale in (("linear", x.values, slopes), ("rest", clipped, 1 - slopes)):
        factor = context.initializer(f"{name}.{part}", scale.astype(np.float32))
        parts.append(context.emit("IncrementalScale", [values, factor], {}, f"{name}.{part}.delta"))
    inputs = [parts[0], x.boxes, parts[1], x.boxes, x.boxes]
    values = context.emit("IncrementalAdd", inputs, {"beta": 1.0}, f"{name}.delta")
    return make_delta(node, values, x.boxes, x.layout, x.live)


def _parameters(node: ir.Node) -> Parameters:
    """The op's attributes, with ONNX's defaults."""

    def number(name: str, default: float) -> float:
        return node.attributes[name].as_float() if name in node.attributes else default

    own: dict[str, Callable[[], Parameters]] = {
        "Celu": lambda: {"alpha": number("alpha", 1.0)},
        "Elu": lambda: {"alpha": number("alpha", 1.0)},
        "HardSigmoid": lambda: {"alpha": number("alpha", 0.2), "beta": number("beta", 0.5)},
        "LeakyRelu": lambda: {"alpha": number("alpha", 0.01)},
        "Selu": lambda: {"alpha": number("alpha", 1.6732632), "beta": number("gamma", 1.0507010)},
        "Swish": lambda: {"alpha": number("alpha", 1.0)},
    }
    function = node.op_type
    if function == "Gelu" and "approximate" in node.attributes and node.attributes["approximate"].as_string() == "tanh":
        function = "GeluTanh"
    return {"function": function, **own.get(node.op_type, dict)()}

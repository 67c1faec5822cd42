"""Functions of a number but Relu and Clip: Sigmoid, Tanh, LeakyRelu, HardSwish, Gelu and their like.

    Y = f(Z)                   ->   DY = f(Z0 + DZ) - f(Z0)
    Y = Z * Sigmoid(Z)         ->   the same of Swish (elementwise.py)
    Y = -Z                     ->   DY = -DZ
    Y = PRelu(Z, slope)        ->   DY = slope * DZ + (1 - slope) * DR,   R = Relu(Z), by branch

A function keeps zeros of the delta and makes none, so the boxes stay.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.emit import emit_pixelwise, emit_scaled
from krypton_compile.passes.lower.forms import Delta, Form, make_delta, per_channel
from krypton_compile.passes.lower.refused import Refused

Parameters = dict[str, str | float]

_PARAMETERS = {
    "Celu": (("alpha", "alpha", 1.0),),
    "Elu": (("alpha", "alpha", 1.0),),
    "HardSigmoid": (("alpha", "alpha", 0.2), ("beta", "beta", 0.5)),
    "LeakyRelu": (("alpha", "alpha", 0.01),),
    "Selu": (("alpha", "alpha", 1.6732632), ("beta", "gamma", 1.0507010)),
    "Swish": (("alpha", "alpha", 1.0),),
}
"""Of each op that has any: our attribute, ONNX's attribute, ONNX's default."""


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rules above."""
    x = context.delta(node, 0)
    if node.op_type == "Neg":
        return emit_scaled(context.emitter, node, x, np.full(x.channels, -1.0))
    if node.op_type == "PRelu":
        return _lower_prelu(node, context, x)
    parameters = _parameters(node)
    if node.op_type in ("HardSigmoid", "Celu") and parameters["alpha"] == 0:
        raise Refused("its alpha is 0")
    return emit_function(node, context, 0, parameters)


def emit_function(node: ir.Node, context: LoweringContext, index: int, parameters: Parameters) -> Delta:
    """The node's delta where its output is a function of its input ``index``."""
    x = context.delta(node, index)
    inputs = [x.boxes, context.base_map(node, index)]
    return emit_pixelwise(context.emitter, node, x, "IncrementalActivation", inputs, parameters)


def _lower_prelu(node: ir.Node, context: LoweringContext, x: Delta) -> Form:
    emitter, name = context.emitter, str(node.outputs[0].name)
    slopes = per_channel(context.constant(node, 1, "slopes"), x, "its slope")
    bounds = {"min": 0.0, "max": float("inf")}
    clipped = emitter.emit("IncrementalClip", [x.values, x.boxes, context.base_map(node, 0)], bounds, f"{name}.relu")
    parts = []
    for part, values, scale in (("linear", x.values, slopes), ("rest", clipped, 1 - slopes)):
        factor = emitter.initializer(f"{name}.{part}", scale.astype(np.float32))
        parts.append(emitter.emit("IncrementalScale", [values, factor], {}, f"{name}.{part}.delta"))
    inputs = [parts[0], x.boxes, parts[1], x.boxes, x.boxes]
    values = emitter.emit("IncrementalAdd", inputs, {"beta": 1.0}, f"{name}.delta")
    return make_delta(node, values, x.boxes, x.layout, x.live)


def _parameters(node: ir.Node) -> Parameters:
    """The op's attributes, with ONNX's defaults."""
    smooth = node.op_type == "Gelu" and node.attributes.get_string("approximate", "none") == "tanh"
    parameters: Parameters = {"function": "GeluTanh" if smooth else node.op_type}
    for ours, name, default in _PARAMETERS.get(node.op_type, ()):
        parameters[ours] = node.attributes.get_float(name, default)
    return parameters

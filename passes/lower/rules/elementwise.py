"""Add, Sub, Mul, Div and BatchNormalization.

Y = A + B, A - B     ->   DY = DA + DB, DA - DB on the hull of both boxes
Y = A * B            ->   DY = A0 * DB + B0 * DA + DA * DB on the hull of both boxes
Y = A * Sigmoid(A)   ->   one function of A (activation.py)
Y = A + k, A - k     ->   DY = DA                 (k constant: no op at all)
Y = k - A            ->   DY = -DA
Y = A * g            ->   DY = DA * g0            (g a gate, one number a channel; approximate, if asked for)
Y = A * k, A / k     ->   DY = DA * k, DA / k     (k a number or one a channel)
Y = BN(A)            ->   DY = DA * gamma / sqrt(var + epsilon)
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.lower.context import LoweringContext, array_of, input_of
from krypton_compile.passes.lower.emit import emit_pixelwise, emit_scaled
from krypton_compile.passes.lower.forms import Delta, Dense, Form, make_delta, per_channel
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.lower.rules.activation import emit_function
from krypton_compile.passes.lower.rules.binary import emit_binary
from krypton_compile.passes.shapes import static_shape


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rules above."""
    if node.op_type == "BatchNormalization":
        return _lower_batch_normalization(node, context)
    forms = [context.forms.get(value) if value is not None else None for value in node.inputs]
    if any(isinstance(form, Dense) for form in forms):
        return _lower_gated(node, context)
    if all(isinstance(form, Delta) for form in forms):
        return _lower_maps(node, context)
    if len(forms) == 2 and isinstance(forms[0], Delta):
        return _lower_constant(node, context, 0)
    if len(forms) == 2 and isinstance(forms[1], Delta):
        return _lower_constant(node, context, 1)
    raise Refused("its operands are neither two maps nor a map and a constant")


def _lower_maps(node: ir.Node, context: LoweringContext) -> Delta:
    """A + B, A - B, A * B of two maps."""
    if node.op_type not in ("Add", "Sub", "Mul"):
        raise Refused("both of its operands depend on the image")
    a, b = context.delta(node, 0), context.delta(node, 1)
    if (a.layout, a.base_shape) != (b.layout, b.base_shape):
        raise Refused("its two maps differ in shape or layout (broadcasting)")
    if node.op_type == "Mul":
        for gated, gate in ((0, 1), (1, 0)):
            producer = context.value(node, gate).producer()
            if producer is not None and producer.op_type == "Sigmoid" and producer.inputs[0] is node.inputs[gated]:
                return emit_function(node, context, gated, {"function": "Swish"})
        return emit_binary(node, context, "Mul", (0, 1))
    emitter, name = context.emitter, str(node.outputs[0].name)
    boxes = emitter.emit("UnionBoxes", [a.live, b.live], {}, f"{name}.boxes")
    inputs = [a.values, a.boxes, b.values, b.boxes, boxes]
    beta = 1.0 if node.op_type == "Add" else -1.0
    values = emitter.emit("IncrementalAdd", inputs, {"beta": beta}, f"{name}.delta")
    return make_delta(node, values, boxes, a.layout)


def _lower_constant(node: ir.Node, context: LoweringContext, moved: int) -> Form:
    """A map, the input ``moved``, and a constant k: A + k, A - k, k - A, A * k, A / k."""
    x = context.delta(node, moved)
    constant = array_of(input_of(node, 1 - moved))
    if constant is None:
        raise Refused("its operands are neither two maps nor a map and a constant")
    if static_shape(node.outputs[0]) != x.base_shape:
        raise Refused("the constant broadcasts the map to another shape")
    if node.op_type == "Sub" and moved == 1:
        return emit_scaled(context.emitter, node, x, np.full(x.channels, -1.0))
    if node.op_type in ("Add", "Sub"):
        return x
    if node.op_type == "Div" and moved == 1:
        raise Refused("it divides by a map")
    scale = per_channel(constant, x, "the constant")
    return emit_scaled(context.emitter, node, x, 1.0 / scale if node.op_type == "Div" else scale)


def _lower_gated(node: ir.Node, context: LoweringContext) -> Delta:
    """A product of a map by one number a channel, as squeeze-and-excitation makes them."""
    for source, gate in ((0, 1), (1, 0)) if node.op_type == "Mul" else ():
        x, value = context.forms.get(context.value(node, source)), context.value(node, gate)
        if not isinstance(x, Delta) or not isinstance(context.forms.get(value), Dense):
            continue
        one_a_channel = [1] * len(x.layout)
        one_a_channel[x.channel_axis] = x.channels
        if static_shape(value) != tuple(one_a_channel):
            continue
        if not context.target.frozen_gates:
            raise Refused("its gate depends on the whole image (--frozen-gates: approximate)")
        return _freeze(node, context, x, context.emitter.current(value))
    raise Refused("one of its inputs is dense")


def _freeze(node: ir.Node, context: LoweringContext, x: Delta, gate: ir.Value) -> Delta:
    emitter, name = context.emitter, str(node.outputs[0].name)
    flat = emitter.initializer(f"{name}.channels", np.array([x.channels], np.int64))
    scale = emitter.emit_base("Reshape", [gate, flat], {}, f"{name}.gate", domain="")
    scale.type, scale.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([x.channels])
    context.freeze(node)
    return emit_pixelwise(emitter, node, x, "IncrementalScale", [scale], {})


def _lower_batch_normalization(node: ir.Node, context: LoweringContext) -> Delta:
    x = context.delta_of_channels_first(node)
    gamma, _, _, variance = (context.constant(node, index, "parameters") for index in range(1, 5))
    if node.attributes.get_int("training_mode", 0):
        raise Refused("it is in training mode; export the model in eval mode")
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    scale = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
    return emit_scaled(context.emitter, node, x, scale)

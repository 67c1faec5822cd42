"""Add, Sub, Mul, Div and BatchNormalization.

Y = A + B, A - B     ->   DY = DA + DB, DA - DB on the hull of both boxes
Y = A * B            ->   DY = A0 * DB + B0 * DA + DA * DB, likewise; A * Sigmoid(A) is one function of A
Y = A + k, A - k     ->   DY = DA                 (k constant: no op at all)
Y = k - A            ->   DY = -DA
Y = A * g            ->   DY = DA * g0            (approximate, if asked for: a gate, one number a channel, is frozen)
Y = A * k, A / k     ->   DY = DA * k, DA / k     (k a number or one a channel)
Y = BN(A)            ->   DY = DA * gamma / sqrt(var + epsilon)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.passes.interface import static_shape
from krypton_compile.passes.lower.context import (
    Delta,
    Dense,
    Form,
    LoweringContext,
    emit_scaled,
    make_delta,
    per_channel,
)
from krypton_compile.passes.lower.rules.activation import emit_function
from krypton_compile.passes.lower.rules.binary import emit_binary


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this node cannot be incremental, or None."""
    if node.op_type == "BatchNormalization":
        return _check_batch_normalization(node, context)
    forms = [context.forms.get(value) if value is not None else None for value in node.inputs]
    deltas = [form for form in forms if isinstance(form, Delta)]
    if any(isinstance(form, Dense) for form in forms):
        if _gate(node, context) is None:
            return "one of its inputs is dense"
        return None if context.frozen_gates else "its gate depends on the whole image (--frozen-gates: approximate)"
    if len(deltas) == 2:
        if node.op_type not in ("Add", "Sub", "Mul"):
            return f"{node.op_type} of two image-dependent maps has no rule yet"
        a, b = deltas
        if (a.layout, a.channels, a.spatial) != (b.layout, b.channels, b.spatial):
            return "its two maps differ in shape or layout (broadcasting)"
        return None
    constants = [value for value, form in zip(node.inputs, forms, strict=True) if form is None]
    if len(deltas) != 1 or len(constants) != 1 or context.constant(constants[0]) is None:
        return "expected two maps, or a map and a constant"
    delta = deltas[0]
    output = static_shape(node.outputs[0])
    if output != _map_shape(delta):
        return "the constant broadcasts the map to another shape"
    if node.op_type in ("Add", "Sub"):
        return None
    if node.op_type == "Div" and forms[0] is None:
        return "division by a map has no rule yet"
    if per_channel(context.constant(constants[0]), delta) is None:
        return "the constant is neither a number nor one value a channel"
    return None


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rules above."""
    name = str(node.outputs[0].name)
    if node.op_type == "BatchNormalization":
        x = context.delta(node.inputs[0])
        return emit_scaled(node, context, x, _batch_normalization_scale(node, context))
    if any(isinstance(context.forms.get(value), Dense) for value in node.inputs if value is not None):
        return _frozen(node, context)
    if all(value in context.forms for value in node.inputs):
        if node.op_type == "Mul":
            return _multiplied(node, context)
        a, b = context.delta(node.inputs[0]), context.delta(node.inputs[1])
        boxes = context.emit("UnionBoxes", [a.live, b.live], {}, f"{name}.boxes")
        beta = 1.0 if node.op_type == "Add" else -1.0
        inputs = [a.values, a.boxes, b.values, b.boxes, boxes]
        values = context.emit("IncrementalAdd", inputs, {"beta": beta}, f"{name}.delta")
        return make_delta(node, values, boxes, a.layout)
    first_is_delta = node.inputs[0] in context.forms
    delta, constant = (node.inputs[0], node.inputs[1]) if first_is_delta else (node.inputs[1], node.inputs[0])
    x = context.delta(delta)
    if node.op_type == "Sub" and not first_is_delta:
        return emit_scaled(node, context, x, np.full(x.channels, -1.0))
    if node.op_type in ("Add", "Sub"):
        return x
    scale = per_channel(context.constant(constant), x)
    assert scale is not None
    return emit_scaled(node, context, x, 1.0 / scale if node.op_type == "Div" else scale)


def _gate(node: ir.Node, context: LoweringContext) -> tuple[ir.Value, ir.Value] | None:
    """(map, gate) of a product of a map by one number a channel, as squeeze-and-excitation makes them."""
    if node.op_type != "Mul":
        return None
    for source, gate in (node.inputs, node.inputs[::-1]):
        x = context.forms.get(source) if source is not None else None
        if isinstance(x, Delta) and gate is not None and isinstance(context.forms.get(gate), Dense):
            one_a_channel = [1] * len(x.layout)
            one_a_channel[x.channel_axis] = x.channels
            if source is not None and static_shape(gate) == tuple(one_a_channel):
                return source, gate
    return None


def _frozen(node: ir.Node, context: LoweringContext) -> Delta:
    found, name = _gate(node, context), str(node.outputs[0].name)
    assert found is not None
    x, gate = context.delta(found[0]), context.replaced.get(found[1], found[1])
    flat = context.initializer(f"{name}.channels", np.array([x.channels], np.int64))
    scale = context.emit_base("Reshape", [gate, flat], {}, f"{name}.gate", domain="")
    scale.type, scale.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([x.channels])
    context.frozen.append(node)
    values = context.emit("IncrementalScale", [x.values, scale], {}, f"{name}.delta")
    return make_delta(node, values, x.boxes, x.layout, x.live)


def _multiplied(node: ir.Node, context: LoweringContext) -> Delta:
    for gated, gate in (node.inputs, node.inputs[::-1]):
        producer = gate.producer() if gate is not None else None
        if producer is not None and producer.op_type == "Sigmoid" and producer.inputs[0] is gated:
            return emit_function(node, context, gated, {"function": "Swish"})
    return emit_binary(node, context, "Mul", node.inputs[0], node.inputs[1])


def _map_shape(delta: Delta) -> tuple[int, ...]:
    if delta.channels_first:
        return 1, delta.channels, *delta.spatial
    return 1, *delta.spatial, delta.channels


def _check_batch_normalization(node: ir.Node, context: LoweringContext) -> str | None:
    x = context.forms.get(node.inputs[0]) if node.inputs[0] else None
    if not isinstance(x, Delta) or not x.channels_first:
        return "its input is not a spatial delta whose channels come first"
    if any(context.constant(value) is None for value in node.inputs[1:]):
        return "its parameters are not constant"
    if "training_mode" in node.attributes and node.attributes["training_mode"].as_int():
        return "it is in training mode; export the model in eval mode"
    return None


def _batch_normalization_scale(node: ir.Node, context: LoweringContext) -> npt.NDArray[np.float64]:
    epsilon = node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else 1e-5
    gamma, variance = context.constant(node.inputs[1]), context.constant(node.inputs[4])
    assert gamma is not None and variance is not None
    return gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)

"""Softmax, LogSoftmax and reductions over channels, on each pixel's row: DY = r(Z0 + DZ) - r(Z0)."""

from __future__ import annotations

import onnx_ir as ir

from krypton_compile.contract.schemas import REDUCTIONS
from krypton_compile.passes.interface import static_shape
from krypton_compile.passes.lower.context import Delta, Form, LoweringContext, make_delta
from krypton_compile.passes.lower.rules.global_pool import reduced_axes

_SOFTMAX = ("Softmax", "LogSoftmax")


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this node cannot be incremental, or None."""
    x = context.forms.get(node.inputs[0]) if node.inputs[0] else None
    if not isinstance(x, Delta):
        return "its input is not a spatial delta"
    if node.op_type in _SOFTMAX:
        axis = node.attributes["axis"].as_int() if "axis" in node.attributes else -1
        return None if axis % len(x.layout) == x.channel_axis else "it is not over the channels"
    axes = reduced_axes(node, context, len(x.layout))
    if axes != [x.channel_axis]:
        return f"it reduces axes {axes}, for which {node.op_type} has no rule"
    return None if len(static_shape(node.outputs[0])) == len(x.layout) else "it drops the channel axis"


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    source = node.inputs[0]
    assert source is not None
    x, name = context.delta(source), str(node.outputs[0].name)
    inputs = [x.values, x.boxes, context.base_map(source, x.layout)]
    if node.op_type in _SOFTMAX:
        attributes = {"logarithm": int(node.op_type == "LogSoftmax")}
        values = context.emit("IncrementalSoftmax", inputs, attributes, f"{name}.delta")
    else:
        function = node.op_type.removeprefix("Reduce")
        assert function in REDUCTIONS
        values = context.emit("IncrementalReduceChannels", inputs, {"function": function}, f"{name}.delta")
    return make_delta(node, values, x.boxes, x.layout, x.live)

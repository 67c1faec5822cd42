"""Softmax, LogSoftmax and reductions over channels, on each pixel's row: DY = r(Z0 + DZ) - r(Z0)."""

from __future__ import annotations

import onnx_ir as ir

from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.emit import emit_pixelwise
from krypton_compile.passes.lower.forms import Form
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.lower.rules.global_pool import reduced_axes
from krypton_compile.passes.shapes import static_shape


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    x, emitter = context.delta(node, 0), context.emitter
    if node.op_type in ("Softmax", "LogSoftmax"):
        if context.axis(node, x, -1) != x.channel_axis:
            raise Refused("it is not over the channels")
        inputs = [x.boxes, context.base_map(node, 0)]
        return emit_pixelwise(
            emitter, node, x, "IncrementalSoftmax", inputs, {"logarithm": int(node.op_type == "LogSoftmax")}
        )
    axes = reduced_axes(node, context, len(x.layout))
    if axes != [x.channel_axis]:
        raise Refused(f"it reduces axes {axes}, for which {node.op_type} has no rule")
    if len(static_shape(node.outputs[0])) != len(x.layout):
        raise Refused("it drops the channel axis")
    inputs = [x.boxes, context.base_map(node, 0)]
    attributes = {"function": node.op_type.removeprefix("Reduce")}
    return emit_pixelwise(emitter, node, x, "IncrementalReduceChannels", inputs, attributes)

"""LayerNormalization over channels, on each pixel's row: DY = s (n(Z0 + DZ) - n(Z0)), n(x) = (x - mean) / deviation.

Where the channels are the last axis, as a ConvNeXt has them. Over height and width as well it would mix pixels.
"""

from __future__ import annotations

import onnx_ir as ir

from krypton_compile.passes.lower.context import Delta, Form, LoweringContext, make_delta


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this normalization cannot be incremental, or None."""
    x = context.forms.get(node.inputs[0]) if node.inputs[0] else None
    if not isinstance(x, Delta) or x.channels_first:
        return "its input is not a spatial delta whose channels come last"
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else -1
    if axis % len(x.layout) != x.channel_axis:
        return f"it normalizes from axis {axis} on, not the channels alone"
    scale = context.constant(node.inputs[1])
    if scale is None or scale.size != x.channels:
        return "its scale is not one constant a channel"
    if any(output.uses() for output in node.outputs[1:]):
        return "its mean or deviation is used too"
    return None


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    x, name, source = context.delta(node.inputs[0]), str(node.outputs[0].name), node.inputs[0]
    assert source is not None
    epsilon = node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else 1e-5
    inputs = [x.values, x.boxes, context.base_map(source, x.layout), node.inputs[1]]
    values = context.emit("IncrementalLayerNorm", inputs, {"epsilon": epsilon}, f"{name}.delta")
    return make_delta(node, values, x.boxes, x.layout, x.live)

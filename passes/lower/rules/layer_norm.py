"""LayerNormalization over channels, on each pixel's row: DY = s (n(Z0 + DZ) - n(Z0)).

n(x) is (x - mean) / deviation. The channels must be the last axis, as a ConvNeXt has them: a norm
over height and width as well would mix pixels.
"""

from __future__ import annotations

import onnx_ir as ir

from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.emit import emit_pixelwise
from krypton_compile.passes.lower.forms import Form
from krypton_compile.passes.lower.refused import Refused


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    x = context.delta(node, 0)
    if x.channels_first:
        raise Refused(f"its input is {x.layout}, not a spatial delta whose channels come last")
    if context.axis(node, x, -1) != x.channel_axis:
        raise Refused(f"it normalizes from axis {node.attributes.get_int('axis', -1)} on, not the channels alone")
    if context.constant(node, 1, "scales").size != x.channels:
        raise Refused("its scale is not one constant a channel")
    if any(output.uses() for output in node.outputs[1:]):
        raise Refused("its mean or deviation is used too")
    inputs = [x.boxes, context.base_map(node, 0), node.inputs[1]]
    attributes = {"epsilon": node.attributes.get_float("epsilon", 1e-5)}
    return emit_pixelwise(context.emitter, node, x, "IncrementalLayerNorm", inputs, attributes)

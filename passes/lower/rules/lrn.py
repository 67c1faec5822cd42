"""LRN, on each pixel's row of channels: DY = lrn(Z0 + DZ) - lrn(Z0)."""

from __future__ import annotations

import onnx_ir as ir

from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.emit import emit_pixelwise
from krypton_compile.passes.lower.forms import Form


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    x = context.delta_of_channels_first(node)
    attributes: dict[str, int | float] = {"size": node.attributes["size"].as_int()}
    for key, default in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)):
        attributes[key] = node.attributes.get_float(key, default)
    inputs = [x.boxes, context.base_map(node, 0)]
    return emit_pixelwise(context.emitter, node, x, "IncrementalLRN", inputs, attributes)

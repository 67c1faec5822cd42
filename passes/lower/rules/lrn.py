"""LRN, on each pixel's row of channels: DY = lrn(Z0 + DZ) - lrn(Z0)."""

from __future__ import annotations

import onnx_ir as ir

from krypton_compile.passes.lower.context import Delta, Form, LoweringContext, make_delta


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this LRN cannot be incremental, or None."""
    x = context.forms.get(node.inputs[0]) if node.inputs[0] else None
    return None if isinstance(x, Delta) and x.layout == "NCHW" else "its input is not an NCHW spatial delta"


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above."""
    x, name, source = context.delta(node.inputs[0]), str(node.outputs[0].name), node.inputs[0]
    assert source is not None
    attributes: dict[str, int | float] = {"size": node.attributes["size"].as_int()}
    for key, default in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)):
        attributes[key] = node.attributes[key].as_float() if key in node.attributes else default
    values = context.emit(
        "IncrementalLRN", [x.values, x.boxes, context.base_map(source, "NCHW")], attributes, f"{name}.delta"
    )
    return make_delta(node, values, x.boxes, "NCHW", x.live)

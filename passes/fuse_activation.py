"""Fuse an activation into the convolution before it.

    IncrementalClip(IncrementalConv(DX, ...), boxes, Z0, limit)  ->  IncrementalConv(DX, ..., Z0, limit; min, max)

The epilogue applies the same rule while the tile is in registers; the pre-activation delta is never written.
Refused where that delta has another reader.
"""

from __future__ import annotations

import onnx_ir as ir


def fuse_activation(body: list[ir.Node]) -> list[ir.Node]:
    """The body with every such pair fused, in the same order."""
    fused: set[ir.Node] = set()
    for node in body:
        if node.op_type != "IncrementalClip":
            continue
        values = node.inputs[0]
        conv = values.producer() if values is not None else None
        if conv is None or conv.op_type != "IncrementalConv" or values is None or len(values.uses()) != 1:
            continue
        replacement = _fuse(conv, node)
        body[body.index(conv)] = replacement
        fused.add(node)
    return [node for node in body if node not in fused]


def _fuse(conv: ir.Node, clip: ir.Node) -> ir.Node:
    attributes = {**conv.attributes, "min": clip.attributes["min"], "max": clip.attributes["max"]}
    name = str(clip.outputs[0].name)
    replacement = ir.node(
        conv.op_type,
        [*conv.inputs[:4], *clip.inputs[2:]],  # the limit of the pre-activation goes with it
        attributes,
        domain=conv.domain,
        outputs=[ir.Value(name=name)],
        name=name,
        metadata_props=dict(conv.metadata_props),
    )
    clip.outputs[0].replace_all_uses_with(replacement.outputs[0])
    # The fused pair must let go of their inputs, or these would still count their uses.
    for gone in (conv, clip):
        for index in range(len(gone.inputs)):
            gone.replace_input_with(index, None)
    return replacement

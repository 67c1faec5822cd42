"""Fuse what follows at once: an addition and then an activation into the convolution before them, a scale into a clip.

    IncrementalAdd(IncrementalConv(DX, x_boxes, own, W), B, b_boxes, boxes, limit)
        ->  IncrementalConv(DX, x_boxes, boxes, W, -, B, b_boxes, limit)
    IncrementalClip(IncrementalConv(DX, ...), boxes, Z0, limit)
        ->  IncrementalConv(DX, ..., Z0, ..., limit; min, max)
    IncrementalClip(IncrementalScale(DX, scale), boxes, Z0, limit)
        ->  IncrementalClip(DX, boxes, Z0, limit, scale)

The last is what a BatchNormalization in front of a convolution leaves (DenseNet): one pass over memory instead of two.
The epilogue adds B and applies the clip rule while the sums are in registers or in the cache; what stood between is
never written, and its limit goes with it. On the boxes of a residual sum, which hold its own, a convolution is zero
where no tap reaches. Of two convolutions the one whose boxes grew more adds the other's delta. Refused where what
stands between has another reader, and an addition to a depthwise convolution, whose kernels are bound by memory anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import onnx_ir as ir

from krypton_compile.passes.body.propagate_boxes import Growth
from krypton_compile.passes.shapes import static_shape

Fused = tuple[ir.Node, ir.Node]
"""The first node of a pair, which goes, and what stands in the second one's place."""


def fuse_epilogue(nodes: Sequence[ir.Node], growth: Mapping[ir.Node, Growth]) -> list[ir.Node]:
    """Fuse every such pair, at the place of its second node; return the body's nodes.

    Args:
        nodes: the body, in order.
        growth: of each convolution in it, from `propagate_boxes`.
    """
    body = _fuse_each(nodes, lambda node: _fuse_add(node, growth))
    return _fuse_each(_fuse_each(body, _fuse_clip), _fuse_scale)


def _fuse_each(body: Sequence[ir.Node], fuse: Callable[[ir.Node], Fused | None]) -> list[ir.Node]:
    """The body with each node that can be ``fuse``d with one before it replaced, and that one gone."""
    fused = {node: pair for node in body if (pair := fuse(node)) is not None}
    gone = {first for first, _ in fused.values()}
    return [fused[node][1] if node in fused else node for node in body if node not in gone]


def _fuse_add(add: ir.Node, growth: Mapping[ir.Node, Growth]) -> Fused | None:
    if add.op_type != "IncrementalAdd" or add.attributes["beta"].as_float() != 1.0:
        return None
    operands = [(_conv_of(add.inputs[0]), add.inputs[2:4]), (_conv_of(add.inputs[2]), add.inputs[:2])]
    candidates = [(conv, other) for conv, other in operands if conv is not None and _may_add(conv)]
    if not candidates:
        return None
    conv, other = max(candidates, key=lambda pair: growth[pair[0]].area)
    inputs = [*conv.inputs[:2], add.inputs[4], conv.inputs[3], None, *other, *add.inputs[5:]]
    return conv, _fuse(conv, add, conv, inputs, dict(conv.attributes))


def _fuse_clip(clip: ir.Node) -> Fused | None:
    conv = _conv_of(clip.inputs[0]) if _is_plain_clip(clip) else None
    if conv is None:
        return None
    added = conv.inputs[5:7] if len(conv.inputs) > 5 else (None, None)
    inputs = [*conv.inputs[:4], clip.inputs[2], *added, *clip.inputs[3:]]
    bounds = {"min": clip.attributes["min"], "max": clip.attributes["max"]}
    return conv, _fuse(conv, clip, conv, inputs, {**conv.attributes, **bounds})


def _fuse_scale(clip: ir.Node) -> Fused | None:
    scale = _maker_for_one(clip.inputs[0], "IncrementalScale") if _is_plain_clip(clip) else None
    if scale is None:
        return None
    limit = clip.inputs[3] if len(clip.inputs) > 3 else None
    inputs = [scale.inputs[0], *clip.inputs[1:3], limit, scale.inputs[1]]
    return scale, _fuse(scale, clip, clip, inputs, dict(clip.attributes))


def _is_plain_clip(node: ir.Node) -> bool:
    """Whether this is a clip without a scale of its own, which is its fifth input."""
    return node.op_type == "IncrementalClip" and len(node.inputs) < 5


def _conv_of(values: ir.Value | None) -> ir.Node | None:
    """The convolution without an activation that makes these values, for one reader alone."""
    conv = _maker_for_one(values, "IncrementalConv")
    return conv if conv is not None and conv.inputs[4:5] in ((), (None,)) else None


def _maker_for_one(values: ir.Value | None, op: str) -> ir.Node | None:
    """The node of this op that makes the values, if it makes them for one reader alone."""
    maker = values.producer() if values is not None else None
    return maker if maker is not None and maker.op_type == op and len(maker.outputs[0].uses()) == 1 else None


def _may_add(conv: ir.Node) -> bool:
    weight = conv.inputs[3]
    assert weight is not None
    depthwise = conv.attributes["group"].as_int() > 1 and static_shape(weight)[1] == 1
    return not depthwise and all(value is None for value in conv.inputs[5:7])


def _fuse(
    first: ir.Node, last: ir.Node, kept: ir.Node, inputs: list[ir.Value | None], attributes: dict[str, ir.Attr]
) -> ir.Node:
    """One node in the place of two, of the kind of the one that is ``kept``."""
    name = str(last.outputs[0].name)
    replacement = ir.node(
        kept.op_type,
        inputs,
        attributes,
        domain=kept.domain,
        outputs=[ir.Value(name=name)],
        name=name,
        metadata_props=dict(kept.metadata_props),
    )
    last.outputs[0].replace_all_uses_with(replacement.outputs[0])
    let_go(first)
    let_go(last)
    return replacement


def let_go(node: ir.Node) -> None:
    """Drop the inputs of a node that leaves the body, or these would still count its uses."""
    for index in range(len(node.inputs)):
        node.replace_input_with(index, None)

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

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from krypton_compile.passes.body.propagate_boxes import Growth
from krypton_compile.passes.shapes import static_shape

_SCALE = 4
"""The input of an IncrementalClip that is its scale."""


def fuse_epilogue(nodes: Sequence[ir.Node], growth: Mapping[ir.Node, Growth]) -> list[ir.Node]:
    """Fuse every such pair, at the place of its second node; return the body's nodes.

    Args:
        nodes: the body, in order.
        growth: of each convolution in it, from `propagate_boxes`.
    """
    return _fuse_scales(_fuse_clips(_fuse_adds(nodes, growth)))


def _fuse_adds(body: Sequence[ir.Node], growth: Mapping[ir.Node, Growth]) -> list[ir.Node]:
    replacements: dict[ir.Node, ir.Node] = {}
    gone: set[ir.Node] = set()
    for add in body:
        if add.op_type != "IncrementalAdd" or add.attributes["beta"].as_float() != 1.0:
            continue
        operands = [(_conv_of(add.inputs[0]), add.inputs[2:4]), (_conv_of(add.inputs[2]), add.inputs[:2])]
        candidates = [(conv, other) for conv, other in operands if conv is not None and _may_add(conv)]
        if not candidates:
            continue
        conv, other = max(candidates, key=lambda pair: growth[pair[0]].area)
        inputs = [*conv.inputs[:2], add.inputs[4], conv.inputs[3], None, *other, *add.inputs[5:]]
        replacements[add] = _fuse(conv, add, conv, inputs, dict(conv.attributes))
        gone.add(conv)
    return [replacements.get(node, node) for node in body if node not in gone]


def _fuse_clips(body: Sequence[ir.Node]) -> list[ir.Node]:
    replacements: dict[ir.Node, ir.Node] = {}
    gone: set[ir.Node] = set()
    for clip in body:
        conv = _conv_of(clip.inputs[0]) if clip.op_type == "IncrementalClip" else None
        if conv is None or len(clip.inputs) > _SCALE:
            continue
        added = conv.inputs[5:7] if len(conv.inputs) > 5 else (None, None)
        inputs = [*conv.inputs[:4], clip.inputs[2], *added, *clip.inputs[3:]]
        bounds = {"min": clip.attributes["min"], "max": clip.attributes["max"]}
        replacements[clip] = _fuse(conv, clip, conv, inputs, {**conv.attributes, **bounds})
        gone.add(conv)
    return [replacements.get(node, node) for node in body if node not in gone]


def _fuse_scales(body: Sequence[ir.Node]) -> list[ir.Node]:
    replacements: dict[ir.Node, ir.Node] = {}
    gone: set[ir.Node] = set()
    for clip in body:
        values = clip.inputs[0] if clip.op_type == "IncrementalClip" else None
        scale = values.producer() if values is not None else None
        if scale is None or scale.op_type != "IncrementalScale" or len(scale.outputs[0].uses()) > 1:
            continue
        if len(clip.inputs) > _SCALE:
            continue
        limit = clip.inputs[3] if len(clip.inputs) > 3 else None
        inputs = [scale.inputs[0], *clip.inputs[1:3], limit, scale.inputs[1]]
        replacements[clip] = _fuse(scale, clip, clip, inputs, dict(clip.attributes))
        gone.add(scale)
    return [replacements.get(node, node) for node in body if node not in gone]


def _conv_of(values: ir.Value | None) -> ir.Node | None:
    """The convolution that makes these values, for one reader alone."""
    conv = values.producer() if values is not None else None
    if conv is None or conv.op_type != "IncrementalConv" or conv.inputs[4:5] not in ((), (None,)):
        return None
    return conv if len(conv.outputs[0].uses()) == 1 else None


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
    # The fused pair must let go of their inputs, or these would still count their uses.
    for gone in (first, last):
        for index in range(len(gone.inputs)):
            gone.replace_input_with(index, None)
    return replacement

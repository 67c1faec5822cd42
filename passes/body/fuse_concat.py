"""Fuse a concatenation of channels, and the scale and the clip behind it, into the 1x1 convolution that reads them.

    IncrementalConv(IncrementalClip(IncrementalConcat(boxes, parts, DX1, ...), boxes, X0, x_limit, scale),
                    boxes, y_boxes, W, Z0, limit; kernel 1x1)
        ->  IncrementalConcatConv(y_boxes, parts, W, X0, scale, x_limit, Z0, limit, DX1, ...; x_min, x_max, min, max)

Either the concatenation or the clip may be missing. What a dense block (DenseNet) hands from layer to layer is then
read where the layers put it, and neither the concatenation nor what the BatchNormalization and the Relu make of it is
ever in memory. A concatenation of concatenations is first one of all their parts. Refused where another node reads
what would vanish, and for CUDA, whose convolutions gather no rows.

The convolution's boxes then grow from those of the concatenation, not from what the clip left of them: rows that are
all zero are zero in its result as well. Where eps makes them so, tau crops around another middle than it would.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from krypton_compile.contract.schemas import DOMAIN
from krypton_compile.passes.body.fuse_epilogue import let_go

_POINT = {"kernel_shape": 1, "strides": 1, "pads": 0}
_BOUNDS = ("min", "max")
_LEFT_OVER = ("IncrementalConcat", "StackBoxes", "IncrementalClip", "ShrinkBoxes")
"""What nothing may read any more once convolutions are fused."""


def fuse_concat(nodes: Sequence[ir.Node]) -> tuple[list[ir.Node], int]:
    """Fuse every such convolution, at its place; return the body's nodes, and how many were changed or taken away."""
    body: list[ir.Node] = []
    changes = 0
    for node in nodes:
        if node.op_type == "IncrementalConcat":
            changes += _flatten(node)
        fused = _fuse(node)
        changes += fused is not None
        body.append(fused or node)
    kept: list[ir.Node] = []
    for node in reversed(body):
        if node.op_type in _LEFT_OVER and not node.outputs[0].uses():
            let_go(node)
        else:
            kept.append(node)
    return kept[::-1], changes + len(body) - len(kept)


def _flatten(concat: ir.Node) -> bool:
    """Let a concatenation read the parts of those that it reads; tell whether it does so from now on."""
    parts, stack = _parts(concat), _stack_of(concat)
    flat = [inner for values, boxes in parts for inner in _unfolded(values, boxes)]
    if flat == parts or len(stack.outputs[0].uses()) > 1:
        return False
    stack.resize_inputs(len(flat))
    concat.resize_inputs(2 + len(flat))
    for index, (values, boxes) in enumerate(flat):
        stack.replace_input_with(index, boxes)
        concat.replace_input_with(2 + index, values)
    return True


def _unfolded(values: ir.Value, boxes: ir.Value) -> list[tuple[ir.Value, ir.Value]]:
    """The parts of a part that is a concatenation itself, which was unfolded before; else this one."""
    inner = values.producer()
    if inner is not None and inner.op_type == "IncrementalConcat" and inner.inputs[0] is boxes:
        return _parts(inner)
    return [(values, boxes)]


def _parts(concat: ir.Node) -> list[tuple[ir.Value, ir.Value]]:
    """Values and boxes of each part."""
    pairs = zip(concat.inputs[2:], _stack_of(concat).inputs, strict=True)
    return [(values, boxes) for values, boxes in pairs if values is not None and boxes is not None]


def _stack_of(concat: ir.Node) -> ir.Node:
    """The node that puts the boxes of a concatenation's parts one after another."""
    stack = concat.inputs[1].producer() if concat.inputs[1] is not None else None
    assert stack is not None and stack.op_type == "StackBoxes"
    return stack


def _fuse(conv: ir.Node) -> ir.Node | None:
    if not _is_point(conv):
        return None
    values, boxes, y_boxes, weight, z0, _, _, limit = [*conv.inputs, *[None] * 8][:8]
    window = y_boxes.producer() if y_boxes is not None else None
    if values is None or boxes is None or window is None or window.op_type != "WindowBoxes":
        return None
    clip = values.producer()
    if clip is not None and clip.op_type == "IncrementalClip":
        if not all(user is conv or _only_shrinks(user, window) for user in _users(values)):
            return None
        values, _, x0, x_limit, scale = [*clip.inputs, None, None][:5]
    elif _users(values) == {conv}:
        clip, x0, x_limit, scale = None, None, None, None
    else:
        return None
    assert values is not None
    concat = values.producer()
    joined = concat is not None and concat.op_type == "IncrementalConcat" and concat.inputs[0] is boxes
    if concat is None or not (joined or clip is not None):
        return None
    parts = _parts(concat) if joined else [(values, boxes)]
    stacked = concat.inputs[1] if joined else boxes
    attributes = {name: conv.attributes[name] for name in ("min", "max", "precision") if name in conv.attributes}
    if clip is not None:
        attributes |= {f"x_{name}": ir.AttrFloat32(f"x_{name}", clip.attributes[name].as_float()) for name in _BOUNDS}
    output = conv.outputs[0]
    fused = ir.node(
        "IncrementalConcatConv",
        [y_boxes, stacked, weight, x0, scale, x_limit, z0, limit, *(part for part, _ in parts)],
        attributes,
        domain=DOMAIN,
        outputs=[ir.Value(name=output.name)],
        name=str(conv.name),
        metadata_props=dict(conv.metadata_props),
    )
    output.replace_all_uses_with(fused.outputs[0])
    window.replace_input_with(0, boxes)
    let_go(conv)
    return fused


def _is_point(conv: ir.Node) -> bool:
    """Whether this is a convolution of single pixels that adds no other delta."""
    return (
        conv.op_type == "IncrementalConv"
        and all(set(conv.attributes[name].as_ints()) == {value} for name, value in _POINT.items())
        and conv.attributes["group"].as_int() == 1
        and all(value is None for value in conv.inputs[5:7])
    )


def _only_shrinks(node: ir.Node, window: ir.Node) -> bool:
    """Whether a node cuts boxes for this window and for nothing else."""
    return node.op_type == "ShrinkBoxes" and _users(node.outputs[0]) <= {window}


def _users(value: ir.Value) -> set[ir.Node]:
    return {node for node, _ in value.uses()}

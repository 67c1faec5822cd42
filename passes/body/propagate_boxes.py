"""Propagate boxes: what a reference patch costs, layer by layer, before anything runs.

Walks the body with boxes alone (every box op has its rule in :mod:`krypton_compile.contract.geometry`) for all
positions of a reference patch; of volumes, slice by slice. Zeros are not known here, so ShrinkBoxes counts as
the identity. Multiply-adds are those of the paper's equations 10-14. The body stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from krypton_compile.contract import geometry
from krypton_compile.contract.annotations import NODE_SOURCE
from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.schemas import DOMAIN, SCHEMAS
from krypton_compile.passes.lower.box_rules import apply_box_rule, read_depth, read_window
from krypton_compile.passes.shapes import static_shape

_OUTPUT_BOXES = {
    schema.name: max(index for index, kind in enumerate(schema.inputs) if kind in ("boxes:int32", "y_boxes:int32"))
    for schema in SCHEMAS
    if {"boxes:int32", "y_boxes:int32"} & set(schema.inputs)
}
"""At which input an op has the boxes of its output."""


@dataclass(frozen=True)
class Growth:
    """What the positions of a reference patch have become at one node of the body.

    Attributes:
        box: the sizes of the largest box, as many as the image has.
        paper: multiply-adds of a convolution over all positions, all taps of every output in the box (equation 12).
        overlap: the same with only the taps that land inside the delta.
    """

    box: tuple[int, ...]
    paper: int = 0
    overlap: int = 0

    @property
    def area(self) -> int:
        """Pixels of the largest box."""
        return math.prod(self.box)


def propagate_boxes(nodes: Sequence[ir.Node], boxes_input: ir.Value, grid: Boxes) -> dict[ir.Node, Growth]:
    """Compute how large the positions have grown at every node that has boxes and comes from a node of the model.

    Args:
        nodes: the body, in order; after this each convolution among them is in the result.
        boxes_input: the value that holds the positions' boxes.
        grid: the positions of the reference patch, int32 [P, 2n].
    """
    boxes: dict[ir.Value, Boxes] = {boxes_input: grid}
    growth: dict[ir.Node, Growth] = {}
    unread = _unread_after(nodes)
    for index, node in enumerate(nodes):
        after = apply_box_rule(node, boxes)
        if after is not None:
            boxes[node.outputs[0]] = after
        current = after if after is not None else _boxes_of(node, boxes)
        if current is not None and NODE_SOURCE in node.metadata_props:
            paper, overlap = _multiply_adds(node, boxes) if node.op_type == "IncrementalConv" else (0, 0)
            growth[node] = Growth(_largest(current, len(grid), grid.shape[1] // 2), paper, overlap)
        for value in unread[index]:
            boxes.pop(value, None)
    return growth


def _unread_after(nodes: Sequence[ir.Node]) -> list[list[ir.Value]]:
    """For each node the values that no later one asks for: boxes of all nodes at once would be gigabytes."""
    last: dict[ir.Value, int] = {}
    for index, node in enumerate(nodes):
        for value in node.inputs:
            if value is not None:
                last[value] = index
                maker = value.producer()
                if maker is not None and maker.op_type == "DepthGather":  # whose own a convolution asks for
                    last.update((each, index) for each in maker.inputs if each is not None)
    unread: list[list[ir.Value]] = [[] for _ in nodes]
    for value, index in last.items():
        unread[index].append(value)
    return unread


def _largest(boxes: Boxes, positions: int, axes: int) -> tuple[int, ...]:
    """The largest box, of a volume by how many of its slices hold one."""
    slices = ~geometry.is_empty(boxes).reshape(positions, -1)
    sizes = (int(slices.sum(axis=1).max()), int(boxes[:, 2].max(initial=0)), int(boxes[:, 3].max(initial=0)))
    return sizes[3 - axes :]


def _boxes_of(node: ir.Node, boxes: dict[ir.Value, Boxes]) -> Boxes | None:
    if node.domain != DOMAIN:
        return None
    slot = _OUTPUT_BOXES.get(node.op_type)
    value = node.inputs[slot] if slot is not None else None
    return boxes.get(value) if value is not None else None


def _multiply_adds(node: ir.Node, boxes: dict[ir.Value, Boxes]) -> tuple[int, int]:
    source, target, weight = node.inputs[1], node.inputs[2], node.inputs[3]
    assert source is not None and target is not None and weight is not None
    window, shape = read_window(node), static_shape(weight)
    area = int(geometry.areas(boxes[target]).sum())
    pairs = sum(int(geometry.overlapping_taps(read, boxes[target], window).sum()) for read in _slices(node, boxes))
    return area * math.prod(shape), pairs * shape[0] * shape[1]


def _slices(node: ir.Node, boxes: dict[ir.Value, Boxes]) -> Iterator[Boxes]:
    """The boxes that a convolution reads: its input's, or behind a DepthGather those of each slice of the window."""
    rows, source = node.inputs[0], node.inputs[1]
    assert rows is not None and source is not None
    gather = rows.producer()
    if gather is None or gather.op_type != "DepthGather" or gather.inputs[1] is None:
        yield boxes[source]
        return
    window, volumes = read_depth(gather), boxes[gather.inputs[1]]
    for tap in range(window.kernel):
        slices, inside = geometry.depth_sources(window, tap)
        read = volumes.reshape(-1, window.input_depth, 4)[:, slices]
        yield np.where(inside[None, :, None], read, 0).reshape(-1, 4).astype(np.int32)

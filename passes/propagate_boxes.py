"""Propagate boxes: what a reference patch costs, layer by layer, before anything runs.

Walks the body with boxes alone (every box op has its rule in :mod:`krypton_compile.geometry`) for all
positions of a reference patch. Zeros are not known here, so ShrinkBoxes counts as the identity.
Writes the growth into node metadata; returns boxes and multiply-adds (paper, equations 10-14).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from krypton_compile import geometry
from krypton_compile.annotations import NODE_GROWTH, NODE_SOURCE
from krypton_compile.geometry import Boxes, Window
from krypton_compile.interface import static_shape
from krypton_compile.schemas import DOMAIN


@dataclass(frozen=True)
class LayerCost:
    """Of one original node: its largest box (h, w), and multiply-adds summed over all positions."""

    growth: tuple[int, int]
    paper: int  # all taps of every output in the box (equation 12)
    overlap: int  # only the taps that land inside the delta


def propagate_boxes(body: list[ir.Node], boxes_input: ir.Value, grid: Boxes) -> dict[str, LayerCost]:
    """Costs by the original node's name, for the positions ``grid`` int32 [P, 4]."""
    boxes: dict[ir.Value, Boxes] = {boxes_input: grid}
    costs: dict[str, LayerCost] = {}
    for node in body:
        found = _box_op(node, boxes)
        if found is not None:
            boxes[node.outputs[-1]] = found
        current = found if found is not None else _boxes_of(node, boxes)
        source = node.metadata_props.get(NODE_SOURCE)
        if current is None or source is None:
            continue
        growth = (int(current[:, 2].max(initial=0)), int(current[:, 3].max(initial=0)))
        node.metadata_props[NODE_GROWTH] = f"{growth[0]}x{growth[1]}"
        paper, overlap = _multiply_adds(node, boxes) if node.op_type == "IncrementalConv" else (0, 0)
        earlier = costs.get(source, LayerCost((0, 0), 0, 0))
        costs[source] = LayerCost(growth, earlier.paper + paper, earlier.overlap + overlap)
    return costs


def read_window(node: ir.Node) -> Window:
    """The window of an incremental op, from its attributes."""
    pair = {
        name: (int(values[0]), int(values[1]))
        for name in ("kernel_shape", "strides", "pads", "dilations", "input_shape", "output_shape")
        for values in [node.attributes[name].as_ints()]
    }
    return Window(
        pair["kernel_shape"],
        pair["strides"],
        pair["pads"],
        pair["dilations"],
        pair["input_shape"],
        pair["output_shape"],
    )


def _box_op(node: ir.Node, boxes: dict[ir.Value, Boxes]) -> Boxes | None:
    inputs = [boxes[value] for value in node.inputs if value is not None and value in boxes]
    if node.op_type == "WindowBoxes":
        return geometry.window_boxes(inputs[0], read_window(node))
    if node.op_type == "UnionBoxes":
        return geometry.union_boxes(inputs)
    if node.op_type == "TranslateBoxes":
        shift, shape = node.attributes["shift"].as_ints(), node.attributes["output_shape"].as_ints()
        return geometry.translate_boxes(inputs[0], (shift[0], shift[1]), (shape[0], shape[1]))
    if node.op_type == "ResampleBoxes":
        tables = [value.const_value.numpy() for value in node.inputs[1:] if value is not None and value.const_value]
        return geometry.resample_boxes(inputs[0], tables[0].astype(np.int64), tables[1].astype(np.int64))
    return inputs[0] if node.op_type == "ShrinkBoxes" else None


def _boxes_of(node: ir.Node, boxes: dict[ir.Value, Boxes]) -> Boxes | None:
    if node.domain != DOMAIN:
        return None
    own = [value for value in node.inputs if value is not None and value in boxes]
    # y_boxes is the last box input, but for IncrementalConcat, where it is the first.
    index = 0 if node.op_type == "IncrementalConcat" else -1
    return boxes[own[index]] if own else None


def _multiply_adds(node: ir.Node, boxes: dict[ir.Value, Boxes]) -> tuple[int, int]:
    source, target, weight = node.inputs[1], node.inputs[2], node.inputs[3]
    assert source is not None and target is not None and weight is not None
    window = read_window(node)
    maps, depth = static_shape(weight)[:2]
    area = int(geometry.areas(boxes[target]).sum())
    pairs = int(geometry.overlapping_taps(boxes[source], boxes[target], window).sum())
    return area * window.kernel[0] * window.kernel[1] * maps * depth, pairs * maps * depth

"""Fields: which pixels of the image each place of a map depends on.

Found from the box rules alone: a strip of the image, one row or column or slice wide, is sent through
the body's box ops, and a place depends on the strip only if the strip's boxes reach it. So every op
that has a box rule has fields, and they are never too small.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.contract.geometry import Boxes, is_empty
from krypton_compile.contract.layouts import as_volume
from krypton_compile.passes.lower.box_rules import apply_box_rule
from krypton_compile.passes.lower.forms import Ragged


class Fields:
    """The fields of maps in a body whose windows come as ``windows`` on an image of ``image_shape``."""

    def __init__(self, windows: ir.Value, image_shape: tuple[int, ...]) -> None:
        self._sizes = image_shape
        self._boxes: dict[ir.Value, Boxes] = {windows: _strips(image_shape)}

    def of(self, x: Ragged) -> npt.NDArray[np.int64]:
        """The first and one past the last pixel of each place, int64 [D + H + W, 2]: depth, height, width."""
        slices = self._find(x.boxes).reshape(sum(self._sizes), x.depth, 4)
        shape = (x.depth, x.height, x.width)
        fields = [np.tile(np.array([0, 1], np.int64), (size, 1)) for size in shape]
        first_axis, strip = 3 - len(self._sizes), 0
        for axis, size in enumerate(self._sizes, first_axis):
            fields[axis] = _reached(slices[strip : strip + size], axis, shape[axis])
            strip += size
        return np.concatenate(fields)

    def _find(self, value: ir.Value) -> Boxes:
        pending = [value]
        while pending:
            node = pending[-1].producer()
            if pending[-1] in self._boxes or node is None:
                pending.pop()
                continue
            missing = [each for each in _box_inputs(node) if each not in self._boxes]
            if missing:
                pending.extend(missing)
                continue
            boxes = apply_box_rule(node, self._boxes)
            assert boxes is not None, f"{node.op_type} makes no boxes"
            self._boxes[pending.pop()] = boxes
        return self._boxes[value]


def shape_of_map(x: Ragged) -> tuple[int, int, int]:
    """(D, H, W) of the map that the rows belong to."""
    return as_volume(x.spatial)


def _box_inputs(node: ir.Node) -> list[ir.Value]:
    """The inputs of a box op that are boxes: values and tables aside."""
    values = [value for value in node.inputs if value is not None]
    if node.op_type == "UnionBoxes":
        return values
    return values[1:2] if node.op_type == "ShrinkBoxes" else values[:1]


def _strips(sizes: tuple[int, ...]) -> Boxes:
    """A window for each row, column and slice of the image, across all of it."""
    strips = []
    for axis, size in enumerate(sizes):
        for place in range(size):
            starts, extents = [0] * len(sizes), list(sizes)
            starts[axis], extents[axis] = place, 1
            strips.append([*starts, *extents])
    return np.array(strips, np.int32).reshape(-1, 2 * len(sizes))


def _reached(slices: npt.NDArray[np.int32], axis: int, places: int) -> npt.NDArray[np.int64]:
    """Of boxes [strips, D, 4], one strip a pixel of an axis: the pixels whose strips reach each place of the map."""
    fields = np.zeros((places, 2), np.int64)
    for pixel, boxes in enumerate(slices.astype(np.int64)):
        held = ~is_empty(boxes.astype(np.int32))
        if not held.any():
            continue
        if axis == 0:
            places_reached = np.flatnonzero(held)
            first, last = int(places_reached[0]), int(places_reached[-1]) + 1
        else:
            start, extent = boxes[held, axis - 1], boxes[held, axis + 1]
            first, last = int(start.min()), int((start + extent).max())
        fresh = fields[first:last, 1] == 0
        fields[first:last, 0][fresh] = pixel
        fields[first:last, 1] = pixel + 1
    return fields

"""Which entries of each axis a Slice takes, for the rules of channels and of pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.passes.interface import static_shape
from krypton_compile.passes.lower.context import LoweringContext

Indices = npt.NDArray[np.int64]


def sliced_axes(node: ir.Node, context: LoweringContext) -> dict[int, Indices] | str:
    """The entries taken of each axis that is not taken whole, or why that is not known."""
    given = [context.constant(value) for value in node.inputs[1:]]
    if any(array is None for array, value in zip(given, node.inputs[1:], strict=True) if value is not None):
        return "its bounds are not constant"
    starts, ends, axes, steps = [*given, None, None, None, None][:4]
    if node.inputs[0] is None or starts is None or ends is None:
        return "its bounds are not constant"
    sizes = static_shape(node.inputs[0])
    lists = [array.shape for array in given if array is not None]
    if any(shape != lists[0] for shape in lists) or len(lists[0]) != 1:
        return "its bounds are no lists of equal length"
    axes = np.arange(len(starts)) if axes is None else axes
    steps = np.ones(len(starts), np.int64) if steps is None else steps
    found = {}
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = sizes[int(axis) % len(sizes)]
        # Python's slices are ONNX's, but that ends far out mean the end, also going down.
        stop = None if step < 0 and end < -size else int(end)
        taken = np.arange(size)[slice(int(start), stop, int(step))]
        if len(taken) != size or step != 1:
            found[int(axis) % len(sizes)] = taken
    return found

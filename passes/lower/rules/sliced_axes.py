"""Which entries of an axis a Slice or a Gather takes, for the rules of channels and of pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.shapes import static_shape

Indices = npt.NDArray[np.int64]


def sliced_axes(node: ir.Node, context: LoweringContext) -> dict[int, Indices]:
    """The entries that a Slice takes of each axis that it does not take whole.

    Raises:
        Refused: if the bounds are not constant, or no lists of equal length.
    """
    starts, ends = context.constant(node, 1, "bounds"), context.constant(node, 2, "bounds")
    axes, steps = (context.optional_constant(node, index, "bounds") for index in (3, 4))
    shapes = {array.shape for array in (starts, ends, axes, steps) if array is not None}
    if len(shapes) != 1 or starts.ndim != 1:
        raise Refused("its bounds are no lists of equal length")
    axes = np.arange(len(starts)) if axes is None else axes
    steps = np.ones(len(starts), np.int64) if steps is None else steps
    sizes, taken = static_shape(context.value(node, 0)), {}
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = sizes[int(axis) % len(sizes)]
        # Python's slices are ONNX's, but that ends far out mean the end, also going down.
        stop = None if step < 0 and end < -size else int(end)
        entries = np.arange(size)[slice(int(start), stop, int(step))]
        if len(entries) != size or step != 1:
            taken[int(axis) % len(sizes)] = entries
    return taken


def chosen_places(node: ir.Node, context: LoweringContext, size: int) -> Indices:
    """The entries that a Gather takes of an axis of that size.

    Raises:
        Refused: if the indices are not constant, no list, or out of range.
    """
    indices = context.constant(node, 1, "indices")
    if indices.ndim != 1:
        raise Refused("its indices are no list, so an axis goes or comes")
    places: Indices = indices.astype(np.int64)
    if ((places < -size) | (places >= size)).any():
        raise Refused("its indices are out of range")
    return np.arange(size)[places]

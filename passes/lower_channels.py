"""Gather, Slice, Split and Expand of channels: the same choice on every row of the delta.

    Y = Gather(X, k, axis = channels)    ->    DY = DX[:, k]

The rows of a delta are pixels with their channels, so ONNX's own ops on axis 1 do it; the boxes stay. A channel shuffle
is such a Gather (gather_shuffles.py).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.interface import static_shape
from krypton_compile.passes.lowering import Delta, Form, LoweringContext

Indices = npt.NDArray[np.int64]


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this choice cannot be incremental, or None."""
    x = context.forms.get(node.inputs[0]) if node.inputs[0] else None
    if not isinstance(x, Delta):
        return "its input is not a spatial delta"
    found = _choices(node, context, x)
    return found if isinstance(found, str) else None


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above, for every output."""
    x = context.delta(node.inputs[0])
    choices = _choices(node, context, x)
    assert not isinstance(choices, str)
    forms = []
    for output, chosen in zip(node.outputs, choices, strict=True):
        values = _chosen(context, x, chosen, str(output.name))
        channels = len(chosen)
        forms.append(replace(x, values=values, channels=channels))
        context.forms[output] = forms[-1]
    return forms[0]


def _chosen(context: LoweringContext, x: Delta, chosen: Indices, name: str) -> ir.Value:
    if len(chosen) and (np.diff(chosen) == 1).all():
        bounds = [
            (part, np.array([at], np.int64)) for part, at in (("from", chosen[0]), ("to", chosen[-1] + 1), ("axis", 1))
        ]
        inputs = [x.values, *(context.initializer(f"{name}.{part}", array) for part, array in bounds)]
        return context.emit("Slice", inputs, {}, f"{name}.delta", domain="")
    indices = context.initializer(f"{name}.channels", chosen)
    return context.emit("Gather", [x.values, indices], {"axis": 1}, f"{name}.delta", domain="")


def _choices(node: ir.Node, context: LoweringContext, x: Delta) -> list[Indices] | str:
    """The channels of each output, or why there are none."""
    assert node.inputs[0] is not None
    axis, everything = x.channel_axis, np.arange(x.channels)
    if node.op_type == "Expand":
        before, after = static_shape(node.inputs[0]), static_shape(node.outputs[0])
        alone = len(before) == len(after) and _without(before, axis) == _without(after, axis)
        return [np.zeros(after[axis], np.int64)] if x.channels == 1 and alone else "it repeats more than one channel"
    if node.op_type == "Slice":
        return _slice(node, context, x, everything)
    if _int(node, "axis", 0) % len(x.layout) != axis:
        return "it does not choose among channels"
    if node.op_type == "Split":
        sizes = [static_shape(output)[axis] for output in node.outputs]
        return list(np.split(everything, np.cumsum(sizes)[:-1]))
    indices = context.constant(node.inputs[1])
    if indices is None:
        return "its indices are not constant"
    if indices.ndim != 1:
        return "its indices are no list, so an axis goes or comes"
    places: Indices = indices.astype(np.int64)
    if ((places < -x.channels) | (places >= x.channels)).any():
        return "its indices are out of range"
    return [everything[places]]


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _slice(node: ir.Node, context: LoweringContext, x: Delta, everything: Indices) -> list[Indices] | str:
    given = [context.constant(value) if value is not None else None for value in node.inputs[1:]]
    if len(given) < 2 or any(array is None for array, value in zip(given, node.inputs[1:], strict=True) if value):
        return "its bounds are not constant"
    if {array.shape for array in given if array is not None} not in ({(n,)} for n in range(len(x.layout) + 1)):
        return "its bounds are no lists of equal length"
    starts, ends = given[0], given[1]
    if starts is None or ends is None:
        return "its bounds are not constant"
    axes = given[2] if len(given) > 2 and given[2] is not None else np.arange(len(starts))
    steps = given[3] if len(given) > 3 and given[3] is not None else np.ones(len(starts), np.int64)
    sizes = static_shape(node.inputs[0]) if node.inputs[0] is not None else ()
    chosen = {int(one) % len(x.layout): index for index, one in enumerate(axes)}
    for other, index in chosen.items():
        whole = (int(starts[index]), int(steps[index])) == (0, 1) and int(ends[index]) >= sizes[other]
        if other != x.channel_axis and not whole:
            return "it does not choose among channels alone"
    if x.channel_axis not in chosen:
        return [everything]
    start, end, step = (int(bounds[chosen[x.channel_axis]]) for bounds in (starts, ends, steps))
    limit = len(everything)
    # Python's slices are ONNX's, but that ends far out mean the end, also going down.
    stop = None if step < 0 and end < -limit else end
    return [everything[slice(start, stop, step)]]


def _int(node: ir.Node, name: str, default: int) -> int:
    return node.attributes[name].as_int() if name in node.attributes else default

"""Gather, Slice, Split and Expand of channels: the same choice on every row of the delta.

    Y = Gather(X, k, axis = channels)    ->    DY = DX[:, k]

The rows of a delta are pixels with their channels, so ONNX's own ops on axis 1 do it; the boxes stay. A channel shuffle
is such a Gather (gather_shuffles.py).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.interface import static_shape
from krypton_compile.passes.lower.context import Delta, Form, LoweringContext
from krypton_compile.passes.lower.rules.sliced_axes import Indices, sliced_axes


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
    taken = sliced_axes(node, context)
    if isinstance(taken, str):
        return taken
    if set(taken) - {x.channel_axis}:
        return "it does not choose among channels alone"
    return [taken.get(x.channel_axis, everything)]


def _int(node: ir.Node, name: str, default: int) -> int:
    return node.attributes[name].as_int() if name in node.attributes else default

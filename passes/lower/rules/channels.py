"""Gather, Slice, Split and Expand of channels: the same choice on every row of the delta.

    Y = Gather(X, k, axis = channels)    ->    DY = DX[:, k]

The rows of a delta are pixels with their channels, so ONNX's own ops on axis 1 do it; the boxes stay.
A channel shuffle is such a Gather (gather_shuffles.py).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.emit import Emitter
from krypton_compile.passes.lower.forms import Delta, Form, Ragged, Rows
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.lower.rules.sliced_axes import Indices, chosen_places, sliced_axes
from krypton_compile.passes.lower.values.pixel_local import rows_of
from krypton_compile.passes.shapes import static_shape


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rule above, for every output."""
    return _choose(node, context, context.delta(node, 0))


def lower_rows(node: ir.Node, context: LoweringContext) -> Form:
    """The same choice on rows of T', for every output."""
    value = context.value(node, 0)
    form = context.forms.get(value)
    if not isinstance(form, Ragged):
        raise Refused("its input is dense, or flattened")
    return _choose(node, context, rows_of(value, form.live, context))


def _choose(node: ir.Node, context: LoweringContext, x: Delta | Rows) -> Form:
    """Choose on every row, be it of a delta or of T', and record the form of each output; returns the first."""
    forms: list[Form] = []
    for output, chosen in zip(node.outputs, _choices(node, context, x), strict=True):
        values = _chosen(context.emitter, x, chosen, str(output.name))
        forms.append(replace(x, values=values, channels=len(chosen)))
        context.forms[output] = forms[-1]
    return forms[0]


def _chosen(emitter: Emitter, x: Ragged, chosen: Indices, name: str) -> ir.Value:
    if len(chosen) and (np.diff(chosen) == 1).all():
        bounds = [
            (part, np.array([at], np.int64)) for part, at in (("from", chosen[0]), ("to", chosen[-1] + 1), ("axis", 1))
        ]
        inputs = [x.values, *(emitter.initializer(f"{name}.{part}", array) for part, array in bounds)]
        return emitter.emit("Slice", inputs, {}, f"{name}.delta", domain="")
    indices = emitter.initializer(f"{name}.channels", chosen)
    return emitter.emit("Gather", [x.values, indices], {"axis": 1}, f"{name}.delta", domain="")


def _choices(node: ir.Node, context: LoweringContext, x: Ragged) -> list[Indices]:
    """The channels of each output."""
    axis, everything = x.channel_axis, np.arange(x.channels)
    if node.op_type == "Expand":
        before, after = static_shape(context.value(node, 0)), static_shape(node.outputs[0])
        alone = len(before) == len(after) and _without(before, axis) == _without(after, axis)
        if x.channels != 1 or not alone:
            raise Refused("it repeats more than one channel")
        return [np.zeros(after[axis], np.int64)]
    if node.op_type == "Slice":
        taken = sliced_axes(node, context)
        if set(taken) - {axis}:
            raise Refused("it does not choose among channels alone")
        return [taken.get(axis, everything)]
    if context.axis(node, x) != axis:
        raise Refused("it does not choose among channels")
    if node.op_type == "Split":
        sizes = [static_shape(output)[axis] for output in node.outputs]
        return list(np.split(everything, np.cumsum(sizes)[:-1]))
    return [chosen_places(node, context, x.channels)]


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])

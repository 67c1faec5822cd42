"""Reductions, Softmax and LayerNormalization of a view's axes: the same of the map's.

ReduceX(T), the axes whole ones of the map            ->    view of ReduceX(X)
ReduceMax(T), the axis a factor of the channels       ->    view of Max(X[part 1], X[part 2], ...)
ReduceSum(T), ReduceMean(T), a factor of the channels ->    view of a Conv of groups
ReduceMax(T), ReduceMean(T), the innermost factor of rows or columns    ->    view of a pool of X
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.simplify.views.build import Builder, first, last, places_of, realized, reordered
from krypton_compile.passes.simplify.views.products import contract
from krypton_compile.passes.simplify.views.view import Atom, Axis, View, size_of

_PAIRWISE = {"ReduceMax": "Max", "ReduceMin": "Min"}
_POOLS = {"ReduceMax": "MaxPool", "ReduceMean": "AveragePool"}
_MOST_PARTS = 64


def reduce(node: ir.Node, views: Sequence[View | None], build: Builder) -> View | None:
    """The view of the node's output; None where it is none."""
    view, named = views[0], named_axes(node, len(views[0].axes) if views[0] is not None else 0)
    if view is None or named is None:
        return None
    view = realized(build, view)
    gone = {atom for axis in named for atom in view.axes[axis]}
    homes = {view.axis_of(atom) for atom in gone}
    whole = [home for home in homes if home is not None and set(view.own[home]) <= gone]
    after: View | None
    if len(whole) == len(homes):
        after = _whole(node, view, sorted(whole), build)
    elif homes == {view.channel}:
        after = _parts_of_channels(node, view, tuple(atom for atom in view.own[view.channel] if atom in gone), build)
    else:
        after = _pooled(node, view, gone, build)
    if after is None:
        return None
    keep = node.attributes.get_int("keepdims", 1)
    axes = [() if axis in named else atoms for axis, atoms in enumerate(after.axes)]
    return after.on(tuple(atoms for axis, atoms in enumerate(axes) if keep or axis not in named))


def named_axes(node: ir.Node, rank: int) -> list[int] | None:
    """The axes that a reduction of a tensor of that rank names, in order; None where they are not constant, or none."""
    given = node.inputs[1] if len(node.inputs) > 1 else None
    if given is not None and given.const_value is None:
        return None
    array = () if given is None or given.const_value is None else given.const_value.numpy().reshape(-1)
    named = sorted({int(axis) % rank for axis in node.attributes.get_ints("axes", [int(axis) for axis in array])})
    if not named and node.attributes.get_int("noop_with_empty_axes", 0) == 1:
        return None
    return named or list(range(rank))


def _whole(node: ir.Node, view: View, homes: list[int], build: Builder) -> View:
    if not homes and node.op_type in ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum"):
        return view
    own = tuple(() if axis in homes else atoms for axis, atoms in enumerate(view.own))
    opset = build.graph.opset_imports.get("", 0)
    if node.op_type == "ReduceSum" or opset >= 18:
        source = build.add(
            node.op_type,
            [view.source, build.constant(np.array(homes, np.int64))],
            [size_of(axis) for axis in own],
            {"keepdims": 1, "noop_with_empty_axes": 1},
        )
    else:
        source = build.add(node.op_type, [view.source], [size_of(axis) for axis in own], {"axes": homes, "keepdims": 1})
    return View(source, view.layout, own, tuple(_without(axis, view, homes) for axis in view.axes))


def _without(axis: Axis, view: View, homes: Sequence[int]) -> Axis:
    return tuple(atom for atom in axis if view.axis_of(atom) not in homes)


def _parts_of_channels(node: ir.Node, view: View, gone: Axis, build: Builder) -> View | None:
    channel, count = view.channel, size_of(gone)
    rest = tuple(atom for atom in view.own[channel] if atom not in gone)
    if node.op_type in ("ReduceSum", "ReduceMean"):
        value = 1.0 if node.op_type == "ReduceSum" else 1.0 / count
        seen = view.on((rest, gone, *(view.own[axis] for axis in view.spatial)))
        after = contract(build, seen, 1, np.full((count, 1), value, np.float32))
        axes = tuple(tuple(atom for atom in axis if atom not in gone) for axis in view.axes)
        return None if after is None else after.on(axes)
    if node.op_type not in _PAIRWISE or count > _MOST_PARTS:
        return None
    table = places_of(view.own[channel], (*gone, *rest)).reshape(count, -1)
    own = (*view.own[:channel], rest, *view.own[channel + 1 :])
    shape = [size_of(axis) for axis in own]
    result: ir.Value | None = None
    for places in table:
        part = build.add("Gather", [view.source, build.constant(places)], shape, {"axis": channel})
        result = part if result is None else build.add(_PAIRWISE[node.op_type], [result, part], shape)
    assert result is not None
    return View(result, view.layout, own, tuple(tuple(atom for atom in axis if atom not in gone) for axis in view.axes))


def _pooled(node: ir.Node, view: View, gone: set[Atom], build: Builder) -> View | None:
    """Windows that do not overlap: what is left of a spatial axis is the outer factor."""
    if node.op_type not in _POOLS:
        return None
    view = first(build, view)
    kernel, own = [1] * (len(view.own) - 2), list(view.own)
    for home in range(len(view.own)):
        inner = tuple(atom for atom in view.own[home] if atom in gone)
        if not inner:
            continue
        if home < 2 or view.own[home][-len(inner) :] != inner:
            return None
        kernel[home - 2], own[home] = size_of(inner), view.own[home][: -len(inner)]
    attributes = {"kernel_shape": kernel, "strides": kernel}
    source = build.add(_POOLS[node.op_type], [view.source], [size_of(axis) for axis in own], attributes)
    axes = tuple(tuple(atom for atom in axis if atom not in gone) for axis in view.axes)
    return View(source, view.layout, tuple(own), axes)


def normalize(node: ir.Node, views: Sequence[View | None], build: Builder) -> View | None:
    """The view after a Softmax, LogSoftmax, Hardmax or LayerNormalization of one whole axis of the map."""
    view = views[0]
    if view is None or any(each is not None for each in views[1:]) or len(node.outputs) > 1:
        return None
    view = realized(build, view)
    axis = node.attributes.get_int("axis", -1) % len(view.axes)
    if node.op_type == "LayerNormalization" and any(view.axes[axis + 1 :]):
        return None
    atoms = view.axes[axis]
    home = view.axis_of(atoms[0]) if atoms else None
    if home is None or set(view.own[home]) != set(atoms):
        return None
    view = reordered(build, view, home, atoms)
    if node.op_type == "LayerNormalization":
        if home != view.channel:
            return None
        view = last(build, view)
        home = len(view.own) - 1
    attributes = [attribute for name, attribute in node.attributes.items() if name != "axis"]
    flat = [value if value is None else _flat(value, build) for value in node.inputs[1:]]
    if any(new is None and old is not None for new, old in zip(flat, node.inputs[1:], strict=True)):
        return None
    inputs = [view.source, *flat]
    source = build.add(node.op_type, inputs, view.own_shape, [*attributes, ir.AttrInt64("axis", home)])
    return View(source, view.layout, view.own, view.axes)


def _flat(value: ir.Value, build: Builder) -> ir.Value | None:
    """A scale or bias as [C]."""
    tensor = value.const_value
    if tensor is None:
        return None
    return value if len(tensor.shape) == 1 else build.constant(tensor.numpy().reshape(-1))

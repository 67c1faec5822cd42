"""Concat of views: a Concat of their maps along one axis.

Concat(T, U, axis), the axis a whole one of the maps       ->    view of Concat(X, Y) along it
Concat(T, U, axis), T and U of size 1 there (a stack)      ->    view of Concat(X, Y) of channels
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from krypton_compile.passes.shapes import static_shape
from krypton_compile.passes.simplify.views.build import Builder, aligned, fresh, in_map, realized, reordered
from krypton_compile.passes.simplify.views.view import Atom, View, size_of


def join(node: ir.Node, views: Sequence[View | None], build: Builder) -> View | None:
    """The view of the node's output; None where it is none."""
    first = next(view for view in views if view is not None)
    axis = node.attributes["axis"].as_int() % len(first.axes)
    if all(view is not None and not view.axes[axis] for view in views):
        return _stack([realized(build, view) for view in views if view is not None], axis, build)
    parts = [None if view is None else _alone(realized(build, view), axis, build) for view in views]
    if any(part is None and view is not None for part, view in zip(parts, views, strict=True)):
        return None
    frame = next(part for part in parts if part is not None and part.axes[axis])
    home = frame.axis_of(frame.axes[axis][0])
    assert home is not None
    sources: list[ir.Value] = []
    for part, value in zip(parts, node.inputs, strict=True):
        if part is None:
            tensor = value.const_value if value is not None else None
            array = None if tensor is None else _constant(frame, tensor.numpy().shape, axis)
            told = None if tensor is None or array is None else in_map(array, tensor.numpy())
            if told is None or told.shape[:home] + told.shape[home + 1 :] != _beside(frame, home):
                return None
            sources.append(build.constant(told))
            continue
        found = aligned(build, frame, part, skip=axis)
        if found is None:
            return None
        frame = found[0]
        sources.append(found[1])
    return _joined(sources, frame, axis, home, build)


def _joined(sources: Sequence[ir.Value], frame: View, axis: int, home: int, build: Builder) -> View:
    size = sum(static_shape(source)[home] for source in sources)
    shape = list(frame.own_shape)
    shape[home] = size
    source = build.add("Concat", sources, shape, {"axis": home})
    atoms = fresh(size)
    own = (*frame.own[:home], atoms, *frame.own[home + 1 :])
    return View(source, frame.layout, own, (*frame.axes[:axis], atoms, *frame.axes[axis + 1 :]))


def _alone(view: View, axis: int, build: Builder) -> View | None:
    """The view with one atom at ``axis`` that is a whole axis of the map; of size 1, none of either."""
    atoms = view.axes[axis]
    if not atoms:
        return view
    home = view.axis_of(atoms[0])
    if home is None or set(view.own[home]) != set(atoms):
        return None
    view = reordered(build, view, home, atoms)
    merged = (Atom(size_of(atoms)),)
    own = (*view.own[:home], merged, *view.own[home + 1 :])
    return replace(view, own=own, axes=(*view.axes[:axis], merged, *view.axes[axis + 1 :]))


def _constant(frame: View, shape: Sequence[int], axis: int) -> View | None:
    """The frame, were it as large along the axis as a constant that is joined to it."""
    home = frame.axis_of(frame.axes[axis][0])
    if len(shape) != len(frame.axes) or home is None:
        return None
    atoms = (Atom(shape[axis]),)
    own = (*frame.own[:home], atoms, *frame.own[home + 1 :])
    return replace(frame, own=own, axes=(*frame.axes[:axis], atoms, *frame.axes[axis + 1 :]))


def _beside(frame: View, home: int) -> tuple[int, ...]:
    shape = frame.own_shape
    return shape[:home] + shape[home + 1 :]


def _stack(views: Sequence[View], axis: int, build: Builder) -> View | None:
    frame, sources = views[0], [views[0].source]
    for view in views[1:]:
        found = aligned(build, frame, view)
        if found is None:
            return None
        frame = found[0]
        sources.append(found[1])
    if any(source.shape != frame.source.shape for source in sources):
        return None
    channel, place = frame.channel, fresh(len(views))
    shape = list(frame.own_shape)
    shape[channel] *= len(views)
    source = build.add("Concat", sources, shape, {"axis": channel})
    own = (*frame.own[:channel], (*place, *frame.own[channel]), *frame.own[channel + 1 :])
    return View(source, frame.layout, own, (*frame.axes[:axis], place, *frame.axes[axis + 1 :]))

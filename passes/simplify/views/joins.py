"""Concat of views: a Concat of their maps along one axis.

Concat(T, U, axis), the axis a whole one of the maps       ->    view of Concat(X, Y) along it
Concat(T, U, axis), T and U of size 1 there (a stack)      ->    view of Concat(X, Y) of channels
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.passes.shapes import static_shape
from krypton_compile.passes.simplify.views.build import Builder, aligned, fresh, in_map, realized, reordered
from krypton_compile.passes.simplify.views.choices import taken_along
from krypton_compile.passes.simplify.views.view import Atom, View, size_of

Part = View | npt.NDArray[np.generic]


def join(node: ir.Node, views: Sequence[View | None], build: Builder) -> View | None:
    """The view of the node's output; None where it is none."""
    parts: list[Part] = []
    for view, value in zip(views, node.inputs, strict=True):
        if view is not None:
            parts.append(view)
        elif value is not None and value.const_value is not None:
            parts.append(value.const_value.numpy())
    rank = len(static_shape(node.outputs[0]))
    return joined(parts, node.attributes["axis"].as_int() % rank, build) if len(parts) == len(views) else None


def joined(parts: Sequence[Part], axis: int, build: Builder) -> View | None:
    """The view of views and constants, of which one at least is a view, side by side along an axis."""
    views = [realized(build, part) for part in parts if isinstance(part, View)]
    if len(views) == len(parts) and not any(view.axes[axis] for view in views):
        return _stack(views, axis, build)
    alone = [_alone(view, axis, build) for view in views]
    seen = [view for view in alone if view is not None]
    if len(seen) < len(views):
        return None
    frame = next((view for view in seen if view.axes[axis]), seen[0])
    home = frame.axis_of(frame.axes[axis][0]) if frame.axes[axis] else frame.channel
    if home is None or (frame.own[home] and not frame.axes[axis]):
        return None
    sources: list[ir.Value] = []
    rest = iter(seen)
    for part in parts:
        if not isinstance(part, View):
            told = _told(part, frame, axis, home)
            if told is None:
                return None
            sources.append(build.constant(told))
            continue
        found = aligned(build, frame, next(rest), skip=axis)
        if found is None:
            return None
        frame = found[0]
        sources.append(found[1])
    return _side_by_side(sources, frame, axis, home, build)


def _told(array: npt.NDArray[np.generic], frame: View, axis: int, home: int) -> npt.NDArray[np.generic] | None:
    """A constant in the axes of the frame's map."""
    if array.ndim != len(frame.axes):
        return None
    atoms = fresh(array.shape[axis])
    own = (*frame.own[:home], atoms, *frame.own[home + 1 :])
    wide = replace(frame, own=own, axes=(*frame.axes[:axis], atoms, *frame.axes[axis + 1 :]))
    told = in_map(wide, array) if array.shape == wide.shape else None
    return None if told is None else np.ascontiguousarray(np.broadcast_to(told, wide.own_shape))


def _side_by_side(sources: Sequence[ir.Value], frame: View, axis: int, home: int, build: Builder) -> View:
    sizes = [static_shape(source)[home] for source in sources]
    shape = list(frame.own_shape)
    shape[home] = sum(sizes)
    if home in frame.spatial:
        source = _of_one(sources, home, shape, build) or _padded(sources, home, shape, build)
    else:
        source = build.add("Concat", sources, shape, {"axis": home})
    atoms = fresh(sum(sizes))
    own = (*frame.own[:home], atoms, *frame.own[home + 1 :])
    return View(source, frame.layout, own, (*frame.axes[:axis], atoms, *frame.axes[axis + 1 :]))


def _of_one(sources: Sequence[ir.Value], home: int, shape: Sequence[int], build: Builder) -> ir.Value | None:
    """A Gather of the one map of whose rows or columns all are some; None where they are of several."""
    roots, places = zip(*(_places(source, home) for source in sources), strict=True)
    if len(set(roots)) > 1:
        return None
    return build.add("Gather", [roots[0], build.constant(np.concatenate(places))], shape, {"axis": home})


def _places(value: ir.Value, axis: int) -> tuple[ir.Value, npt.NDArray[np.int64]]:
    """The map of which the value is some rows or columns, and which."""
    node = value.producer()
    places = np.arange(static_shape(value)[axis])
    if node is None or node.inputs[0] is None or node.op_type not in ("Gather", "Slice"):
        return value, places
    root = node.inputs[0]
    taken = taken_along(node, axis)
    if taken is None:
        return value, places
    before, chosen = _places(root, axis)
    return before, chosen[taken]


def _padded(sources: Sequence[ir.Value], home: int, shape: Sequence[int], build: Builder) -> ir.Value:
    """The sum of all, each with zeros where the others stand."""
    rank, begin = len(shape), 0
    constant = np.zeros(shape, np.float32)
    total: ir.Value | None = None
    for source in sources:
        size = static_shape(source)[home]
        if source.const_value is not None:
            constant[(*(slice(None),) * home, slice(begin, begin + size))] = source.const_value.numpy()
        else:
            pads = np.zeros(2 * rank, np.int64)
            pads[home], pads[home + rank] = begin, shape[home] - begin - size
            part = build.add("Pad", [source, build.constant(pads)], shape)
            total = part if total is None else build.add("Add", [total, part], shape)
        begin += size
    assert total is not None
    return build.add("Add", [total, build.constant(constant)], shape) if constant.any() else total


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

"""GatherND, GatherElements, ScatterND, ScatterElements by constant indices, where they choose or replace whole slices.

Exporters write `x[:, [2, 1, 0]]` as GatherND and `x[:, 0] = y` as ScatterND or ScatterElements. The op is done to the
numbers of the entries, and what comes out tells which entry stands where.

    GatherND(T, k)         ->    Gathers of T's axes, one after another
    ScatterND(T, k, U)     ->    Concat of what is left of T and of what of U has taken its place
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.passes.shapes import static_shape
from krypton_compile.passes.simplify.views.build import Builder, fresh
from krypton_compile.passes.simplify.views.choices import taken
from krypton_compile.passes.simplify.views.joins import Part, joined
from krypton_compile.passes.simplify.views.view import Axis, View

Indices = npt.NDArray[np.int64]
INDEXED = ("GatherElements", "GatherND", "ScatterElements", "ScatterND")


@dataclass(frozen=True)
class _Along:
    """Where the entries of one axis of the source are: along an axis of the result, or, ``axis`` None, one alone."""

    axis: int | None
    places: Indices


def place(node: ir.Node, views: Sequence[View | None], build: Builder) -> View | None:
    """The view of the node's output; None where it is none."""
    tensor = node.inputs[1].const_value if node.inputs[1] is not None else None
    if views[0] is None or tensor is None:
        return None
    indices = tensor.numpy()
    if node.op_type.startswith("Gather"):
        entries = np.arange(np.prod(views[0].shape)).reshape(views[0].shape)
        found = _gathered(node, entries, indices)
        return None if found is None else _arranged(views[0], found, build)
    return _scatter(node, views, indices, build)


def _gathered(node: ir.Node, entries: Indices, indices: Indices) -> Indices | None:
    if node.op_type == "GatherElements":
        return np.take_along_axis(entries, indices.astype(np.int64), node.attributes.get_int("axis", 0))
    skipped = node.attributes.get_int("batch_dims", 0)
    if any(size != 1 for size in entries.shape[:skipped]):
        return None
    where = tuple(np.moveaxis(indices.reshape(indices.shape[skipped:]), -1, 0))
    chosen: Indices = entries.reshape(entries.shape[skipped:])[where].reshape(static_shape(node.outputs[0]))
    return chosen


def _scatter(node: ir.Node, views: Sequence[View | None], indices: Indices, build: Builder) -> View | None:
    view, updates = views[0], node.inputs[2]
    if view is None or updates is None or node.attributes.get_string("reduction", "none") != "none":
        return None
    shape = static_shape(updates)
    entries = np.arange(np.prod(view.shape)).reshape(view.shape)
    new = np.arange(np.prod(shape)).reshape(shape) + entries.size
    if node.op_type == "ScatterND":
        entries[tuple(np.moveaxis(indices, -1, 0))] = new
    else:
        np.put_along_axis(entries, indices, new, node.attributes.get_int("axis", 0))
    replaced = entries >= np.prod(view.shape)
    along = _along(replaced.astype(np.int64), (2,))
    if along is None or along[0].axis is None:
        return None
    axis = along[0].axis
    mask = np.moveaxis(replaced, axis, 0).reshape(replaced.shape[axis], -1)[:, 0]
    bounds = [0, *(np.flatnonzero(np.diff(mask)) + 1), len(mask)]
    parts: list[Part] = []
    for begin, end in itertools.pairwise(bounds):
        part: Part | None
        if mask[begin]:
            inside = np.take(entries, range(begin, end), axis) - np.prod(view.shape)
            part = _update(views[2], updates, inside, build)
        else:
            part = taken(build, view, axis, np.arange(begin, end))
        if part is None:
            return None
        parts.append(part)
    return joined(parts, axis, build) if any(isinstance(part, View) for part in parts) else None


def _update(view: View | None, updates: ir.Value, entries: Indices, build: Builder) -> Part | None:
    if view is not None:
        return _arranged(view, entries, build)
    return None if updates.const_value is None else updates.const_value.numpy().reshape(-1)[entries]


def _along(entries: Indices, shape: Sequence[int]) -> list[_Along] | None:
    """Of each axis of the source, along which axis of ``entries`` its places run; None where they run along several."""
    found: list[_Along] = []
    taken_axes: set[int] = set()
    for places in np.unravel_index(entries, shape):
        varying = [axis for axis in range(places.ndim) if (places != np.take(places, [0], axis)).any()]
        if len(varying) > 1 or set(varying) & taken_axes:
            return None
        if not varying:
            found.append(_Along(None, places.reshape(-1)[:1].astype(np.int64)))
            continue
        taken_axes |= set(varying)
        first = tuple(slice(None) if axis == varying[0] else 0 for axis in range(places.ndim))
        found.append(_Along(varying[0], places[first].astype(np.int64)))
    return found


def _arranged(view: View, entries: Indices, build: Builder) -> View | None:
    """The view of those entries of its tensor, in their arrangement."""
    along = _along(entries, view.shape)
    if along is None:
        return None
    for axis, each in enumerate(along):
        after = taken(build, view, axis, each.places)
        if after is None:
            return None
        view = after
    axes: list[Axis] = [fresh(size) for size in entries.shape]
    for axis, each in enumerate(along):
        if each.axis is not None:
            axes[each.axis] = view.axes[axis]
    return view.on(tuple(axes))

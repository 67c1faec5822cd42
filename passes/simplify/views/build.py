"""Writes nodes in front of one that is being rewritten, and brings maps into the arrangement that it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.contract.layouts import channels_first, channels_last
from krypton_compile.passes.shapes import static_shape
from krypton_compile.passes.simplify.initializers import add_initializer
from krypton_compile.passes.simplify.views.view import Atom, Axis, View, refined, size_of

Attributes = Mapping[str, int | float | str | Sequence[int]]


class Builder:
    """New nodes and constants of a graph; ``sweep`` takes back those that nobody reads in the end.

    ``at`` is the node in front of which they stand.
    """

    def __init__(self, graph: ir.Graph, at: ir.Node) -> None:
        self.graph, self.at = graph, at
        self._nodes: list[ir.Node] = []
        self._unnamed: set[ir.Node] = set()
        self._constants: list[ir.Value] = []
        self._node_names = {str(node.name) for node in graph}
        self._names = {str(value.name) for node in graph for value in node.outputs}
        self._names |= {str(value.name) for value in (*graph.inputs, *graph.initializers.values())}

    def add(
        self,
        op: str,
        inputs: Sequence[ir.Value | None],
        shape: Sequence[int],
        attributes: Attributes | Sequence[ir.Attr] = (),
        dtype: ir.DataType | None = None,
    ) -> ir.Value:
        """Add a node of one output."""
        like = next(value for value in inputs if value is not None and value.const_value is None)
        node = ir.node(
            op, inputs, dict(attributes) if isinstance(attributes, Mapping) else None, name=self._node_name()
        )
        if not isinstance(attributes, Mapping):
            for attribute in attributes:
                node.attributes.add(attribute)
        output = node.outputs[0]
        output.name = self._unique(f"{self.at.outputs[0].name}.map")
        output.shape = ir.Shape(shape)
        output.type = ir.TensorType(dtype) if dtype is not None else like.type
        self.graph.insert_before(self.at, node)
        self._nodes.append(node)
        self._unnamed.add(node)
        return output

    def constant(self, array: npt.NDArray[np.generic]) -> ir.Value:
        """Add a constant."""
        value = add_initializer(self.graph, self._unique(f"{self.at.outputs[0].name}.constant"), array)
        self._constants.append(value)
        return value

    def wrote(self, value: ir.Value) -> bool:
        """Whether the value is of a node that was added here, and has no name of a model's yet."""
        node = value.producer()
        return node is not None and node in self._unnamed

    def name(self, value: ir.Value, name: str) -> None:
        """Give such a value a name of the model's."""
        node = value.producer()
        assert node is not None
        value.name = name
        self._unnamed.remove(node)

    def sweep(self) -> None:
        """Remove what was added and is not read."""
        for node in reversed(self._nodes):
            if node.graph is not None and not any(value.uses() or value.is_graph_output() for value in node.outputs):
                self.graph.remove(node, safe=True)
        for value in self._constants:
            if not value.uses() and not value.is_graph_output():
                del self.graph.initializers[str(value.name)]

    def _node_name(self) -> str:
        """The name of the node that is rewritten; numbered where that has one already."""
        name, count = str(self.at.name), 1
        while name in self._node_names:
            count += 1
            name = f"{self.at.name}.{count}"
        self._node_names.add(name)
        return name

    def _unique(self, name: str) -> str:
        unique, count = name, 1
        while unique in self._names:
            count += 1
            unique = f"{name}{count}"
        self._names.add(unique)
        return unique


def chosen(build: Builder, view: View, axis: int, places: npt.NDArray[np.int64], atoms: Axis) -> View:
    """The view of some entries of the map's axis, which has ``atoms`` then; the tensor's axes stay as they are."""
    shape = list(view.own_shape)
    own = (*view.own[:axis], atoms, *view.own[axis + 1 :])
    if len(places) == shape[axis] and (places == np.arange(len(places))).all():
        return replace(view, own=own)
    shape[axis] = len(places)
    source = build.add("Gather", [view.source, build.constant(places)], shape, {"axis": axis})
    return replace(view, source=source, own=own)


def reordered(build: Builder, view: View, axis: int, atoms: Axis) -> View:
    """The same view of a map whose axis has its atoms in that order; those that it had not are repeated."""
    if atoms == view.own[axis]:
        return view
    return chosen(build, view, axis, places_of(view.own[axis], atoms), atoms)


def places_of(before: Axis, after: Axis) -> npt.NDArray[np.int64]:
    """Of an axis of the atoms ``before``: where each entry of one of the atoms ``after`` stands."""
    table = np.arange(size_of(before)).reshape([atom.size for atom in before])
    kept = [atom for atom in after if atom in before]
    table = table.transpose([before.index(atom) for atom in kept])
    table = table.reshape([atom.size if atom in before else 1 for atom in after])
    return np.broadcast_to(table, [atom.size for atom in after]).reshape(-1).astype(np.int64)


def arranged(build: Builder, view: View, layout: str) -> View:
    """The same view of a map in another order of axes."""
    if layout == view.layout:
        return view
    order = [view.layout.index(name) for name in layout]
    own = tuple(view.own[axis] for axis in order)
    source = build.add("Transpose", [view.source], [size_of(axis) for axis in own], {"perm": order})
    return replace(view, source=source, layout=layout, own=own)


def first(build: Builder, view: View) -> View:
    """The same view of a map whose channels come before its spatial axes."""
    return arranged(build, view, channels_first(len(view.own) - 2))


def last(build: Builder, view: View) -> View:
    """The same view of a map whose channels come behind its spatial axes."""
    return arranged(build, view, channels_last(len(view.own) - 2))


def realized(build: Builder, view: View) -> View:
    """The same view without free atoms: the map itself has the repeated entries."""
    for atom in view.free():
        near = next(axis for axis in view.axes if atom in axis)
        homes = [home for each in near if (home := view.axis_of(each)) is not None]
        empty = [axis for axis in range(1, len(view.own)) if not view.own[axis]]
        place = homes[0] if homes else view.channel if view.channel in empty or not empty else empty[0]
        view = reordered(build, view, place, (*view.own[place], atom))
    return view


def as_map(build: Builder, view: View) -> tuple[ir.Value, str] | None:
    """The view's tensor as a map: the map's own axes in some order, and its layout; None where it is none."""
    if len(view.axes) != len(view.own):
        return None
    order: dict[int, int] = {}
    for index, axis in enumerate(view.axes):
        homes = {view.axis_of(atom) for atom in axis} - {None}
        if len(homes) > 1 or any(home in order.values() for home in homes):
            return None
        for home in homes:
            assert home is not None
            if not set(view.own[home]) <= set(axis):
                return None
            order[index] = home
    left = [axis for axis in range(len(view.own)) if axis not in order.values()]
    if any(view.own[axis] for axis in left):
        return None
    for index in range(len(view.axes)):
        if index not in order and index in left:
            order[index] = index
            left.remove(index)
    for index in range(len(view.axes)):
        if index not in order:
            order[index] = left.pop(0)
    places = [order[index] for index in range(len(view.axes))]
    rank, channel = len(places), places.index(view.channel)
    if places[0] != 0 or view.axes[0] or channel not in (1, rank - 1):
        return None
    for index, axis in enumerate(view.axes):
        view = reordered(build, view, order[index], axis)
    layout = channels_first(rank - 2) if channel == 1 else channels_last(rank - 2)
    if places == list(range(rank)):
        return view.source, layout
    return build.add("Transpose", [view.source], view.shape, {"perm": places}), layout


def aligned(build: Builder, frame: View, other: View, skip: int | None = None) -> tuple[View, ir.Value] | None:
    """The frame, told apart further, and the other view's map in the axes of the frame's.

    Axes of size 1 of the other are of size 1 in the result. None where the two maps are not arranged alike.

    Args:
        build: where the nodes go.
        frame: the view in whose map's axes the result is.
        other: a view of as many axes; each is of the frame's size, or 1.
        skip: an axis that may be of another size, and stands for one whole axis of either map.
    """
    both = refined(frame, other, skip)
    if both is None or len(both[0].own) != len(both[1].own):
        return None
    frame, other = both
    same = {
        theirs: ours
        for index in range(len(frame.axes))
        for ours, theirs in zip(frame.axes[index], other.axes[index], strict=False)
    }
    if any(atom not in same for axis in other.own for atom in axis):
        return None
    own: list[Axis] = [tuple(same[atom] for atom in axis) for axis in other.own]
    found: dict[int, int] = {}
    for index, axis in enumerate(own):
        homes = {frame.axis_of(atom) for atom in axis}
        if len(homes) > 1 or None in homes or (homes & found.keys()):
            return None
        found.update({home: index for home in homes if home is not None})
    left = [index for index, axis in enumerate(own) if not axis]
    for home in range(len(own)):
        if home not in found:
            found[home] = home if home in left else next(iter(left))
            left.remove(found[home])
    source, shape = other.source, list(static_shape(other.source))
    for home, index in sorted(found.items()):
        if own[index] and own[index] != frame.own[home]:
            places = places_of(own[index], frame.own[home])
            shape[index] = len(places)
            source = build.add("Gather", [source, build.constant(places)], shape, {"axis": index})
    order = [found[home] for home in range(len(own))]
    if order != list(range(len(own))):
        source = build.add("Transpose", [source], [shape[index] for index in order], {"perm": order})
    return frame, source


def fresh(size: int) -> Axis:
    """An axis of a new atom, or of none if its size is 1."""
    return (Atom(size),) if size != 1 else ()


def in_map(view: View, array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic] | None:
    """A constant that broadcasts to the view's tensor as one that broadcasts to its map.

    None where it changes along a free atom.
    """
    whole = array.reshape((1,) * (len(view.axes) - array.ndim) + array.shape)
    varying = [axis if whole.shape[index] != 1 else () for index, axis in enumerate(view.axes)]
    atoms = [atom for axis in varying for atom in axis]
    if any(view.axis_of(atom) is None for atom in atoms):
        return None
    table = whole.reshape([atom.size for atom in atoms])
    order = [atom for axis in view.own for atom in axis if atom in atoms]
    table = table.transpose([atoms.index(atom) for atom in order])
    shape, full = [], []
    for axis in view.own:
        whole_axis = any(atom in atoms for atom in axis)
        shape += [atom.size if atom in atoms else 1 for atom in axis] if whole_axis else [1]
        full += [atom.size for atom in axis] if whole_axis else [1]
    table = np.broadcast_to(table.reshape(shape), full)
    sizes = [size_of(axis) if any(atom in atoms for atom in axis) else 1 for axis in view.own]
    return np.ascontiguousarray(table.reshape(sizes))

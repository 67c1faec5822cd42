"""Gather, Slice, Split, Pad and CumSum of one axis of a view: the same of the map's axis.

    T = view of X, Gather(T, k)       ->    view of Gather(X, places of k)
    Gather(T, k [taps, out])          ->    view of a Conv of X whose weights are 0 or 1    k[t, o] = a + d t + s o

A Gather with a matrix of indices is how exporters write Unfold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.passes.shapes import has_static_shape, static_shape
from krypton_compile.passes.simplify.views.build import Attributes, Builder, chosen, first, fresh, places_of
from krypton_compile.passes.simplify.views.view import Atom, Axis, View, size_of

Indices = npt.NDArray[np.int64]
_SEVERAL = 2


def choose(node: ir.Node, views: Sequence[View | None], build: Builder) -> list[View] | None:
    """The views of the node's outputs; None where they are none."""
    view = views[0]
    if view is None or any(each is not None for each in views[1:]):
        return None
    if node.op_type == "Gather":
        one = _gather(node, view, build)
        return None if one is None else [one]
    if node.op_type == "Slice":
        for axis, places in _sliced(node, view.shape):
            after = taken(build, view, axis, places)
            if after is None:
                return None
            view = after
        return [view]
    axis = node.attributes.get_int("axis", 0) % len(view.axes)
    sizes = [static_shape(output)[axis] for output in node.outputs]
    parts = np.split(np.arange(view.shape[axis]), np.cumsum(sizes)[:-1])
    found = [part for places in parts if (part := taken(build, view, axis, places)) is not None]
    return found if len(found) == len(parts) else None


def taken(build: Builder, view: View, axis: int, places: Indices, alone: bool = False) -> View | None:
    """The view of some entries of one of the tensor's axes, which goes where ``alone``."""
    atoms = view.axes[axis]
    rest, behind = view.axes[:axis], view.axes[axis + 1 :]
    after = () if alone else fresh(len(places))
    if len(places) == size_of(atoms) and (places == np.arange(len(places))).all() and not alone:
        return view
    homes = {view.axis_of(atom) for atom in atoms}
    if len(homes) > 1:
        return None
    if homes and homes != {None}:
        home = homes.pop()
        assert home is not None
        others = tuple(atom for atom in view.own[home] if atom not in atoms)
        table = places_of(view.own[home], (*others, *atoms)).reshape(-1, size_of(atoms))[:, places]
        view = chosen(build, view, home, table.reshape(-1), (*others, *after))
    return view.on((*rest, *(() if alone else (after,)), *behind))


def _gather(node: ir.Node, view: View, build: Builder) -> View | None:
    axis = node.attributes.get_int("axis", 0) % len(view.axes)
    tensor = node.inputs[1].const_value if node.inputs[1] is not None else None
    if tensor is None:
        return None
    indices = tensor.numpy().astype(np.int64)
    size = view.shape[axis]
    if ((indices < -size) | (indices >= size)).any():
        return None
    places = np.arange(size)[indices]
    if places.ndim <= 1:
        return taken(build, view, axis, places.reshape(-1), alone=places.ndim == 0)
    if places.ndim == _SEVERAL and min(places.shape) > 1:
        return _unfolded(build, view, axis, places)
    flat = taken(build, view, axis, places.reshape(-1))
    if flat is None:
        return None
    axes = tuple(flat.axes[axis] if each == max(places.shape) and each > 1 else () for each in places.shape)
    return flat.on((*flat.axes[:axis], *axes, *flat.axes[axis + 1 :])) if places.size == max(places.shape) else None


def _unfolded(build: Builder, view: View, axis: int, places: Indices) -> View | None:
    """Windows along one spatial axis: taps become channels of a depthwise convolution."""
    turned = places.shape[0] > places.shape[1]
    table = places.T if turned else places
    step, dilation = int(table[0, 1] - table[0, 0]), int(table[1, 0] - table[0, 0])
    taps, outputs = table.shape
    regular = table[0, 0] + dilation * np.arange(taps)[:, None] + step * np.arange(outputs)
    home = view.axis_of(view.axes[axis][0]) if len(view.axes[axis]) == 1 else None
    if step < 1 or dilation < 1 or (table != regular).any() or home not in view.spatial:
        return None
    if view.own[home] != view.axes[axis]:
        return None
    view = first(build, view)
    home = view.axis_of(view.axes[axis][0])
    assert home is not None
    reach = np.arange(table[0, 0], table[-1, -1] + 1)
    between: Axis = (Atom(len(reach)),)
    view = view.on((*view.axes[:axis], between, *view.axes[axis + 1 :]))
    view = chosen(build, view, home, reach, between)
    channels, count = view.own_shape[1], len(view.own) - 2
    along = home - 2
    kernel, strides, dilations = ([1] * count for _ in range(3))
    kernel[along], strides[along], dilations[along] = taps, step, dilation
    weight = np.zeros((channels * taps, 1, *kernel), np.float32)
    weight.reshape(channels, taps, taps)[:, range(taps), range(taps)] = 1
    shape = list(view.own_shape)
    shape[1], shape[home] = channels * taps, outputs
    attributes: Attributes = {"group": channels, "kernel_shape": kernel, "strides": strides, "dilations": dilations}
    source = build.add("Conv", [view.source, build.constant(weight)], shape, attributes)
    tap, output = Atom(taps), Atom(outputs)
    own = list(view.own)
    own[1], own[home] = (*own[1], tap), (output,)
    both: tuple[Axis, ...] = ((output,), (tap,)) if turned else ((tap,), (output,))
    return View(source, view.layout, tuple(own), (*view.axes[:axis], *both, *view.axes[axis + 1 :]))


def _sliced(node: ir.Node, shape: Sequence[int]) -> list[tuple[int, Indices]]:
    """The entries of each axis that the Slice names."""
    arrays = [None if value is None or value.const_value is None else value.const_value for value in node.inputs[1:]]
    starts, ends, axes, steps = (
        None if index >= len(arrays) or (tensor := arrays[index]) is None else tensor.numpy() for index in range(4)
    )
    if starts is None or ends is None:
        return [(0, np.zeros(0, np.int64))]
    axes = np.arange(len(starts)) if axes is None else axes
    steps = np.ones(len(starts), np.int64) if steps is None else steps
    found = []
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = shape[int(axis) % len(shape)]
        stop = None if step < 0 and end < -size else int(end)
        found.append((int(axis) % len(shape), np.arange(size)[slice(int(start), stop, int(step))]))
    return found


def taken_along(node: ir.Node, axis: int) -> Indices | None:
    """The entries of one axis that a Slice or Gather takes, all others left; None where it does more."""
    source = node.inputs[0]
    if source is None or not has_static_shape(source):
        return None
    shape = static_shape(source)
    if node.op_type == "Slice":
        places = dict(_sliced(node, shape))
        whole = all(len(each) == shape[other] for other, each in places.items() if other != axis)
        return places.get(axis, np.arange(shape[axis])) if whole else None
    indices = node.inputs[1].const_value if node.inputs[1] is not None else None
    if indices is None or len(indices.shape) != 1 or node.attributes.get_int("axis", 0) % len(shape) != axis:
        return None
    return np.arange(shape[axis])[indices.numpy().astype(np.int64)]


def slide(node: ir.Node, views: Sequence[View | None], build: Builder) -> View | None:
    """The view after a Pad or a CumSum whose axes are whole axes of the map."""
    view = views[0]
    if view is None or any(each is not None for each in views[1:]):
        return None
    constants = [value.const_value for value in node.inputs[1:] if value is not None]
    if any(tensor is None for tensor in constants):
        return None
    numbers = node.inputs[1].const_value if node.inputs[1] is not None else None
    if numbers is None:
        return None
    if node.op_type == "CumSum":
        home = _whole(view, int(numbers.numpy().reshape(())) % len(view.axes))
        if home is None:
            return None
        inputs = [view.source, build.constant(np.array(home, np.int64))]
        source = build.add("CumSum", inputs, view.own_shape, tuple(node.attributes.values()))
        return View(source, view.layout, view.own, view.axes)
    return _pad(node, view, numbers.numpy(), build)


def _pad(node: ir.Node, view: View, numbers: npt.NDArray[np.generic], build: Builder) -> View | None:
    rank = len(view.axes)
    named = node.inputs[3] if len(node.inputs) > 3 else None
    chosen_axes = np.arange(rank) if named is None or named.const_value is None else named.const_value.numpy()
    pads, axes = [0] * (2 * len(view.own)), list(view.axes)
    own = list(view.own)
    for index, axis in enumerate(int(each) % rank for each in chosen_axes):
        before, after = int(numbers[index]), int(numbers[index + len(chosen_axes)])
        if not before and not after:
            continue
        home = _whole(view, axis)
        if home is None:
            return None
        pads[home], pads[home + len(own)] = before, after
        axes[axis] = own[home] = fresh(size_of(axes[axis]) + before + after)
    if not any(pads):
        return view
    value = node.inputs[2] if len(node.inputs) > 2 else None
    inputs = [view.source, build.constant(np.array(pads, np.int64)), *([] if value is None else [value])]
    kept = [attribute for name, attribute in node.attributes.items() if name == "mode"]
    source = build.add("Pad", inputs, [size_of(axis) for axis in own], kept)
    return View(source, view.layout, tuple(own), tuple(axes))


def _whole(view: View, axis: int) -> int | None:
    """The map's axis that is this axis of the tensor, entry by entry."""
    atoms = view.axes[axis]
    home = view.axis_of(atoms[0]) if atoms else None
    return home if home is not None and view.own[home] == atoms else None

"""Conv, the pools and BatchNormalization of a view: the same op on the map, with the window's axes as the map has them.

Conv2d of [1, C, 1, L], a view of a signal        ->    view of Conv1d, the kernel's row that meets the one row
Conv of [1, C, W, H], rows and columns swapped    ->    view of Conv with its kernel swapped
Conv of [B, C/B, H, W], a factor of the channels  ->    view of Conv of B times as many groups
Conv of [D, C, H, W], slices as a batch           ->    view of Conv3d of one slice
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.passes.shapes import static_shape
from krypton_compile.passes.simplify.views.build import Attributes, Builder, first, fresh, realized, reordered
from krypton_compile.passes.simplify.views.view import Axis, View, size_of
from krypton_compile.passes.window_of import Axis as WindowAxis
from krypton_compile.passes.window_of import read_axes

_POOLS = ("AveragePool", "LpPool", "MaxPool")
_GLOBAL = ("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool")
WINDOWED = ("Conv", "BatchNormalization", *_POOLS, *_GLOBAL)


@dataclass(frozen=True)
class _Seen:
    """A view whose map is laid out as the op needs it: channels first, the batch's factors outermost.

    ``places``: of each spatial axis of the map, the spatial axis of the tensor that it is; None where it is of size
    1, or the tensor's batch.
    """

    view: View
    places: tuple[int | None, ...]


def slide_window(node: ir.Node, views: Sequence[View | None], build: Builder) -> View | None:
    """The view of the node's output; None where it is none."""
    view = views[0]
    if view is None or any(each is not None for each in views[1:]) or len(node.outputs) > 1:
        return None
    seen = _seen(realized(build, view), build)
    if seen is None:
        return None
    if node.op_type == "BatchNormalization":
        return _norm(node, seen, build)
    if node.op_type in _GLOBAL:
        return _global(node, seen, build)
    return _window(node, seen, build)


def _seen(view: View, build: Builder) -> _Seen | None:
    view = first(build, view)
    batch, channels, *sizes = view.axes
    homes = {view.axis_of(atom) for atom in batch}
    of_channels = homes <= {1}
    if not of_channels and (len(homes) > 1 or set(view.own[next(iter(homes)) or 0]) != set(batch)):
        return None
    wanted = (*batch, *channels) if of_channels else channels
    if set(view.own[1]) != set(wanted):
        return None
    view = reordered(build, view, 1, wanted)
    places: list[int | None] = []
    for home in range(2, len(view.own)):
        if view.own[home] == batch or not view.own[home]:
            places.append(None)
            continue
        found = [index for index, axis in enumerate(sizes) if axis and set(axis) == set(view.own[home])]
        if not found:
            return None
        view = reordered(build, view, home, sizes[found[0]])
        places.append(found[0])
    left = [index for index in range(len(sizes)) if index not in places and not sizes[index]]
    for index, place in enumerate(places):
        if place is None and left and not view.own[index + 2]:
            places[index] = left.pop(0)
    return _Seen(view, tuple(places))


def _window(node: ir.Node, seen: _Seen, build: Builder) -> View | None:
    view, places = seen.view, seen.places
    weight = node.inputs[1] if node.op_type == "Conv" else None
    if node.op_type == "Conv" and (
        weight is None or any(value is not None and value.const_value is None for value in node.inputs[1:])
    ):
        return None
    source, output = node.inputs[0], static_shape(node.outputs[0])
    assert source is not None
    kernel = static_shape(weight)[2:] if weight is not None else node.attributes.get_ints("kernel_shape", ())
    axes = read_axes(node, kernel, static_shape(source)[2:], output[2:])
    taps: list[int | None] = [None] * len(axes)
    for index, axis in enumerate(axes):
        if index not in places:
            tap = _only_tap(node, axis)
            if tap is None:
                return None
            taps[index] = tap
    one = WindowAxis(1, 1, 0, 0, 1, 1, 1)
    order = [one if place is None else axes[place] for place in places]
    attributes: dict[str, int | float | str | Sequence[int]] = {
        "kernel_shape": [axis.kernel for axis in order],
        "strides": [axis.stride for axis in order],
        "pads": [*(axis.pad for axis in order), *(axis.end for axis in order)],
        "dilations": [axis.dilation for axis in order],
    }
    new = [
        fresh(output[2 + place]) if place is not None else own for place, own in zip(places, view.own[2:], strict=True)
    ]
    batch = view.axes[0]
    own: list[Axis] = [view.own[0], view.own[1], *new]
    channels: Axis = view.axes[1]
    inputs: list[ir.Value | None] = [view.source]
    if node.op_type == "Conv":
        filters = _filters(node, seen, taps)
        times = size_of(batch) if all(atom in view.own[1] for atom in batch) else 1
        channels = fresh(output[1])
        own[1] = (*(batch if times > 1 else ()), *channels)
        inputs.append(build.constant(np.tile(filters, (times, *[1] * (filters.ndim - 1)))))
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        if bias is not None and bias.const_value is not None:
            inputs.append(build.constant(np.tile(bias.const_value.numpy(), times)) if times > 1 else bias)
        attributes["group"] = node.attributes.get_int("group", 1) * times
    else:
        kept = ("ceil_mode", "count_include_pad", "p", "storage_order")
        attributes |= {name: node.attributes[name].as_int() for name in kept if name in node.attributes}
        if "dilations" not in node.attributes:  # pools have had it only since opset 10, or 18, or 19
            attributes.pop("dilations")
    result = build.add(node.op_type, inputs, [size_of(axis) for axis in own], attributes)
    spatial: list[Axis] = [()] * len(axes)
    for place, atoms in zip(places, new, strict=True):
        if place is not None:
            spatial[place] = atoms
    return View(result, view.layout, tuple(own), (batch, channels, *spatial))


def _only_tap(node: ir.Node, axis: WindowAxis) -> int | None:
    """The kernel's entry that meets the one row of a map that has no such axis; None where that is none or several."""
    tap, rest = divmod(axis.pad, axis.dilation)
    if axis.output != 1 or rest or tap >= axis.kernel:
        return None
    if node.op_type == "AveragePool" and axis.kernel > 1:  # what it divides by depends on the row's neighbours
        return None
    return tap


def _filters(node: ir.Node, seen: _Seen, taps: Sequence[int | None]) -> npt.NDArray[np.generic]:
    weight = node.inputs[1]
    assert weight is not None and weight.const_value is not None
    array = weight.const_value.numpy()
    array = array[(slice(None), slice(None), *(slice(None) if tap is None else slice(tap, tap + 1) for tap in taps))]
    kept = [place for place in seen.places if place is not None]
    gone = [index for index in range(len(taps)) if index not in kept]
    array = array.transpose(0, 1, *(place + 2 for place in (*kept, *gone)))
    sizes = iter(array.shape[2:])
    return np.ascontiguousarray(
        array.reshape(*array.shape[:2], *(1 if place is None else next(sizes) for place in seen.places))
    )


def _norm(node: ir.Node, seen: _Seen, build: Builder) -> View | None:
    view, batch = seen.view, seen.view.axes[0]
    if node.attributes.get_int("training_mode", 0):
        return None
    times = size_of(batch) if all(atom in view.own[1] for atom in batch) else 1
    inputs: list[ir.Value | None] = [view.source]
    for value in node.inputs[1:]:
        if value is None or value.const_value is None:
            return None
        inputs.append(build.constant(np.tile(value.const_value.numpy(), times)) if times > 1 else value)
    source = build.add("BatchNormalization", inputs, view.own_shape, tuple(node.attributes.values()))
    return View(source, view.layout, view.own, view.axes)


def _global(node: ir.Node, seen: _Seen, build: Builder) -> View | None:
    view = seen.view
    if len(view.axes) == 2 or any(place is None and own for place, own in zip(seen.places, view.own[2:], strict=True)):
        return None
    own: tuple[Axis, ...] = (*view.own[:2], *((),) * len(view.own[2:]))
    attributes: Attributes = {name: value.as_int() for name, value in node.attributes.items() if name == "p"}
    source = build.add(node.op_type, [view.source], [size_of(axis) for axis in own], attributes)
    return View(source, view.layout, own, (*view.axes[:2], *((),) * (len(view.axes) - 2)))

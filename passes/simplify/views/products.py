"""MatMul, Gemm, Einsum with a constant: along a view's axis that is the map's channels, a convolution of one tap.

T W, the last axis the map's channels                 ->    view of MatMul(X, W) or Conv1x1(X, W^T)
T W, the last axis a factor of the channels           ->    view of a Conv of groups
T W, the last axis the map's rows or columns          ->    view of MatMul(X, W) or MatMul(W^T, X)
T W, T [1, N] flattened                               ->    Gemm of X, flattened, by W with its rows reordered
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.passes.shapes import static_shape
from krypton_compile.passes.simplify.views.build import (
    Attributes,
    Builder,
    first,
    fresh,
    in_map,
    places_of,
    realized,
    reordered,
)
from krypton_compile.passes.simplify.views.view import Axis, View, size_of

Matrix = npt.NDArray[np.generic]


def multiply(node: ir.Node, views: Sequence[View | None], build: Builder) -> View | None:
    """The view of the node's output; None where it is none."""
    view = views[0]
    if node.op_type == "Einsum":
        return _einsum(node, views, build)
    constant = node.inputs[1].const_value if node.inputs[1] is not None else None
    if view is None or constant is None or any(each is not None for each in views[1:]):
        return None
    matrix = constant.numpy()
    if matrix.ndim != 2 or matrix.dtype != np.float32:
        return None
    bias = None
    if node.op_type == "Gemm":
        if node.attributes.get_float("alpha", 1.0) != 1 or node.attributes.get_float("beta", 1.0) != 1:
            return None
        if node.attributes.get_int("transB", 0):
            matrix = matrix.T
        if node.attributes.get_int("transA", 0):
            view = view.on(view.axes[::-1])
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        if bias is not None and bias.const_value is None:
            return None
    after = contract(build, realized(build, view), len(view.axes) - 1, matrix)
    if after is None or bias is None or bias.const_value is None:
        return after
    added = in_map(after, bias.const_value.numpy())
    if added is None:
        return None
    return replace(after, source=build.add("Add", [after.source, build.constant(added)], after.own_shape))


def contract(build: Builder, view: View, axis: int, matrix: Matrix) -> View | None:
    """The view after the sum over one of the tensor's axes, times a matrix; the new axis is in its place."""
    atoms, new = view.axes[axis], fresh(matrix.shape[1])
    homes = {view.axis_of(atom) for atom in atoms}
    if len(homes) > 1 or (not homes and view.own[view.channel]):
        return None
    home = homes.pop() if homes else view.channel
    assert home is not None
    axes = (*view.axes[:axis], new, *view.axes[axis + 1 :])
    rest = tuple(atom for atom in view.own[home] if atom not in atoms)
    if home == view.channel:
        return _of_channels(build, reordered(build, view, home, (*rest, *atoms)), (rest, new), axes, matrix)
    if rest:
        return None
    view = reordered(build, view, home, atoms)
    own = (*view.own[:home], new, *view.own[home + 1 :])
    shape, behind = [size_of(each) for each in own], len(own) - 1 - home
    if behind == 0:
        source = build.add("MatMul", [view.source, build.constant(matrix)], shape)
    elif behind == 1:
        source = build.add("MatMul", [build.constant(np.ascontiguousarray(matrix.T)), view.source], shape)
    else:
        return None
    return View(source, view.layout, own, axes)


def _of_channels(build: Builder, view: View, after: tuple[Axis, Axis], axes: tuple[Axis, ...], matrix: Matrix) -> View:
    """``after`` are the atoms of the channels that stay, and the new ones."""
    groups = size_of(after[0])
    if view.channel == len(view.own) - 1 and groups == 1:
        own = (*view.own[:-1], after[1])
        source = build.add("MatMul", [view.source, build.constant(matrix)], [size_of(each) for each in own])
        return View(source, view.layout, own, axes)
    view = first(build, view)
    own = (view.own[0], (*after[0], *after[1]), *view.own[2:])
    weight = np.tile(np.ascontiguousarray(matrix.T), (groups, 1))
    weight = weight.reshape(*weight.shape, *[1] * (len(own) - 2))
    attributes: Attributes = {"group": groups, "kernel_shape": [1] * (len(own) - 2)}
    inputs = [view.source, build.constant(weight)]
    return View(build.add("Conv", inputs, [size_of(each) for each in own], attributes), view.layout, own, axes)


def _einsum(node: ir.Node, views: Sequence[View | None], build: Builder) -> View | None:
    terms, arrow, result = node.attributes["equation"].as_string().replace(" ", "").partition("->")
    labels = terms.split(",")
    if not arrow or "." in terms or len(labels) != 2 or any(len(set(term)) != len(term) for term in labels):
        return None
    which = next(index for index, view in enumerate(views) if view is not None)
    view, other, mine, theirs = views[which], node.inputs[1 - which], labels[which], labels[1 - which]
    if view is None or other is None or other.const_value is None or set(mine) & set(theirs) & set(result):
        return None
    summed = [label for label in mine if label in theirs]
    added = [label for label in theirs if label not in mine]
    sizes = dict(zip(theirs, other.const_value.numpy().shape, strict=True))
    if not summed or (len(added) > 1 and min(sizes[label] for label in added) == 1):
        return None
    if any(label not in result for label in added) or any(
        label not in result for label in mine if label not in summed
    ):  # fmt: skip
        return None
    constant = other.const_value.numpy()
    table = constant.transpose([theirs.index(label) for label in (*summed, *added)])
    matrix = table.reshape(int(np.prod([sizes[label] for label in summed])), -1)
    view = realized(build, view)
    kept = [label for label in mine if label not in summed]
    merged = tuple(atom for label in summed for atom in view.axes[mine.index(label)])
    view = view.on((*(view.axes[mine.index(label)] for label in kept), merged))
    after = contract(build, view, len(kept), np.ascontiguousarray(matrix))
    if after is None:
        return None
    if len(added) != 1 and after.axes[-1]:
        after = after.split(after.axes[-1][0], [sizes[label] for label in added])
    new: list[Axis] = [after.axes[-1]] if len(added) == 1 else [(atom,) for atom in after.axes[-1]]
    new += [()] * (len(added) - len(new))
    places = dict(zip((*kept, *added), (*after.axes[:-1], *new), strict=True))
    return after.on(tuple(places[label] for label in result))


def flattened(node: ir.Node, view: View, build: Builder) -> ir.Value | None:
    """A Gemm or MatMul of a flattened view, written for the flattened map; None where it is none or is so already."""
    constant = node.inputs[1].const_value if len(node.inputs) > 1 and node.inputs[1] is not None else None
    shape = static_shape(node.outputs[0])
    if constant is None or any(view.axes[:-1]) or len(shape) < 2 or node.attributes.get_int("transA", 0) == 1:
        return None
    atoms = view.axes[-1]
    order = tuple(atom for axis in view.own for atom in axis)
    if set(atoms) != set(order) or len(constant.shape) != 2:
        return None
    before = node.inputs[0].producer() if node.inputs[0] is not None else None
    plain = before is not None and before.op_type in ("Flatten", "Reshape") and before.inputs[0] is view.source
    if plain and atoms == order and len(view.axes) == 2:
        return None
    flat = build.add("Reshape", [view.source, build.constant(np.array([1, -1], np.int64))], [1, size_of(atoms)])
    weight = node.inputs[1]
    if atoms != order:
        rows = places_of(atoms, order)
        along = 1 if node.attributes.get_int("transB", 0) else 0
        weight = build.constant(np.ascontiguousarray(np.take(constant.numpy(), rows, along)))
    product = build.add(node.op_type, [flat, weight, *node.inputs[2:]], [1, shape[-1]], tuple(node.attributes.values()))
    if len(shape) == 2:
        return product
    return build.add("Reshape", [product, build.constant(np.array(shape, np.int64))], shape)

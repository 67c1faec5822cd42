"""Reshape, Flatten, Squeeze, Unsqueeze, Transpose, Expand, Tile: the same entries in other axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx_ir as ir

from krypton_compile.passes.shapes import permutation, static_shape
from krypton_compile.passes.simplify.views.build import Builder, fresh
from krypton_compile.passes.simplify.views.view import View, reshaped


def move(node: ir.Node, views: Sequence[View | None], _: Builder) -> View | None:
    """The view of the node's output; None where it is none."""
    view = views[0]
    return None if view is None else MOVES[node.op_type](node, view)


def _reshape(node: ir.Node, view: View) -> View | None:
    return reshaped(view, static_shape(node.outputs[0]))


def _same(_: ir.Node, view: View) -> View | None:
    return view


def _transpose(node: ir.Node, view: View) -> View | None:
    return view.on(tuple(view.axes[axis] for axis in permutation(node)))


def _expand(node: ir.Node, view: View) -> View | None:
    shape = static_shape(node.outputs[0])
    axes = ((),) * (len(shape) - len(view.axes)) + view.axes
    sizes = (1,) * (len(shape) - len(view.axes)) + view.shape
    return view.on(tuple(axis if old == new else fresh(new) for axis, old, new in zip(axes, sizes, shape, strict=True)))


def _tile(node: ir.Node, view: View) -> View | None:
    shape = static_shape(node.outputs[0])
    if len(shape) != len(view.axes):
        return None
    times = [new // old for old, new in zip(view.shape, shape, strict=True)]
    return view.on(tuple((*fresh(time), *axis) for time, axis in zip(times, view.axes, strict=True)))


MOVES: dict[str, Callable[[ir.Node, View], View | None]] = {
    "Expand": _expand,
    "Flatten": _reshape,
    "Identity": _same,
    "Reshape": _reshape,
    "Squeeze": _reshape,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}
